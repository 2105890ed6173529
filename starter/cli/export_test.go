package cli

// Fail makes failures as a server gives them.
var Fail = func(class, message string) error { return fail(class, "%s", message) }
