package store

import "context"

// Renaming changes the names of objects together with what refers to them.
type Renaming interface {
	// RenameObject gives the object named from, whose version is o.Version, the
	// name o.Name and o's content, and in the same transaction replaces the
	// others as UpdateObject does. ErrExists when there is one of the new name,
	// ErrNotFound, ErrConflict; then nothing has changed. Done already, it is
	// ErrNotFound.
	RenameObject(ctx context.Context, from string, o Object, others ...Object) error
}
