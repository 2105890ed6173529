package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/segment-export/segment-export/internal/omnisend"
)

// bare is the least that a program could do with the same rows: read the file,
// make a contact of each row, send every hundred. It keeps and checks nothing.
// What an export takes beside it says more than either figure alone, as both
// depend on the machine.
func bare(ctx context.Context, path, api string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	rows := csv.NewReader(f)
	rows.ReuseRecord = true
	if _, err := rows.Read(); err != nil {
		return err
	}
	var items []contact
	for {
		row, err := rows.Read()
		end := errors.Is(err, io.EOF)
		if err != nil && !end {
			return err
		}
		if !end {
			items = append(items, contactOf(row))
		}
		if len(items) == omnisend.MaxItems || end && len(items) > 0 {
			if err := post(ctx, api, items); err != nil {
				return err
			}
			items = items[:0]
		}
		if end {
			return nil
		}
	}
}

type batch struct {
	Endpoint string    `json:"endpoint"`
	Method   string    `json:"method"`
	Items    []contact `json:"items"`
}

type contact struct {
	Identifiers [1]identifier `json:"identifiers"`
	FirstName   string        `json:"firstName"`
	LastName    string        `json:"lastName"`
	Address     string        `json:"address"`
	City        string        `json:"city"`
	State       string        `json:"state"`
	PostalCode  string        `json:"postalCode"`
	Country     string        `json:"country"`
	Properties  properties    `json:"customProperties"`
}

type properties struct {
	Member bool `json:"segment_bench"`
}

type identifier struct {
	Type        string   `json:"type"`
	ID          string   `json:"id"`
	Channels    channels `json:"channels"`
	SendWelcome bool     `json:"sendWelcomeMessage"`
}

type channels struct {
	Email channel `json:"email"`
}

type channel struct {
	Status string `json:"status"`
	At     string `json:"statusChangedAt"`
}

// contactOf takes the columns of synthetic.Header as they are.
func contactOf(row []string) contact {
	return contact{FirstName: row[2], LastName: row[3], Address: row[4], Country: row[5], State: row[6], City: row[7], PostalCode: row[8], Properties: properties{true},
		Identifiers: [1]identifier{{Type: "email", ID: row[1], Channels: channels{channel{"nonSubscribed", "1970-01-01T00:00:00Z"}}}}}
}

func post(ctx context.Context, api string, items []contact) error {
	body, err := json.Marshal(batch{"contacts", http.MethodPost, items})
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, api+"/batches", bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header = http.Header{"Authorization": {"Omnisend-API-Key sandbox-key"}, "Omnisend-Version": {omnisend.Version}, "Content-Type": {"application/json"}}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("the bare loop: the sandbox answered %s", answer.Status)
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}
