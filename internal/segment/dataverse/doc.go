// Package dataverse reads segments of Dynamics 365 Customer Insights - Data
// through the Web API of the Dataverse environment that it writes them to.
//
// # What is read
//
// A segment is known by the name of its output table. Its members are the rows
// of msdynci_segmentmembership whose column msdynci_segments, a JSON list, has
// that name in it; what is known of a member is a row of
// msdynci_customerprofile. Both have the customer's id, and one lookup column
// that need not be filled, so they are joined here.
//
// The members are read in the order of their customer ids, in pages of 5,000.
// For each page the profiles are fetched: as the stretch of the table between
// the first id and the last where most customers are members, else by their
// ids, 200 in a request. A million members cost some 400 requests in the one
// case and some 5,200 in the other, of the 6,000 that Dataverse allows in five
// minutes; the reads of a sparse segment are then paced by its answers.
//
// The order is by customer id because a position in it is a filter, "ge" the
// last id: that is documented for text, and not for primary keys. So a cursor
// is the last customer's id with the state of the segment, and a read
// can continue from it anywhere. Within one read, pages follow the links that Dataverse
// gives, and that filter takes over when a link is refused. The other way
// round, the table of profiles in order with its memberships looked up, would
// read all customers for the smallest segment.
//
// # A view that moves
//
// Dataverse has no snapshot: each page shows what is there when it is asked for.
// Whether the segment was refreshed in between shows by its run in the private
// table mscipriv_segmentmetadata, where that may be read, and by the time of the
// last change of both tables. Both are looked at before the read and after it,
// and by each reader that continues from a cursor; OnChange says what to do with a
// read during which they moved. While a segment is refreshed, and for
// a while after the last change (profiles are written for some time after the
// segments are done), Open gives a *segment.BusyError.
//
// A refresh that deletes rows and writes none goes unnoticed when the private
// table may not be read.
package dataverse
