package service

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/dataverse"
	"github.com/segment-export/segment-export/internal/segment/files"
	"github.com/segment-export/segment-export/internal/segment/postgres"
)

// openSource opens a source of any kind that this worker can read.
func (s *Service) openSource(src catalogue.Source, credential []byte) (segment.Source, error) {
	if err := src.Check(); err != nil {
		return nil, err
	}
	switch src.Type {
	case catalogue.TypeFiles:
		c, err := config[files.Config](src.Files)
		if err != nil {
			return nil, err
		}
		return files.New(s.root, c, credential)
	case catalogue.TypeDataverse:
		c, err := config[dataverse.Config](src.Dataverse)
		if err != nil {
			return nil, err
		}
		return dataverse.New(c, credential, dataverse.Options{})
	case catalogue.TypePostgres:
		c, err := config[postgres.Config](src.Postgres)
		if err != nil {
			return nil, err
		}
		return postgres.New(c, credential)
	}
	return nil, fmt.Errorf("this worker cannot read sources of the kind %s: it may be older than the starter", src.Type)
}

// config turns the catalogue's settings into those of the package that reads
// that kind. Both have the same fields; one that is unknown is an error, since
// it may mean something.
func config[C any](settings any) (C, error) {
	var c C
	data, err := json.Marshal(settings)
	if err != nil {
		return c, err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	return c, d.Decode(&c)
}
