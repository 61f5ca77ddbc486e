package events

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// Envelope is a CloudEvents 1.0 event in structured JSON mode, with the extensions cloudregion and epoch.
type Envelope struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id"`
	Source          string          `json:"source"`
	Type            string          `json:"type"`
	Subject         string          `json:"subject,omitempty"`
	Time            time.Time       `json:"time,omitzero"`
	DataContentType string          `json:"datacontenttype,omitempty"`
	CloudRegion     string          `json:"cloudregion,omitempty"`
	Epoch           Epoch           `json:"epoch,omitempty"`
	Data            json.RawMessage `json:"data,omitempty"`
}

// Wrap puts a notice into its envelope. id and at are given: the package has no clock and no randomness.
func Wrap(n Notice, id, source string, at time.Time) (Envelope, error) {
	data, err := json.Marshal(n)
	if err != nil {
		return Envelope{}, fmt.Errorf("encode notice: %w", err)
	}
	subject := n.Group
	if subject == "" {
		subject = n.Region
	}
	return Envelope{
		SpecVersion: "1.0", ID: id, Source: source, Type: "dev.switchback." + n.Type, Subject: subject, Time: at.UTC(),
		DataContentType: "application/json", CloudRegion: n.Region, Epoch: n.Epoch, Data: data,
	}, nil
}

// strict decodes JSON and refuses unknown fields and trailing text.
func strict(b []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return fmt.Errorf("body is not what this verb takes: %w", err)
	}
	if dec.More() {
		return fmt.Errorf("body goes on after its JSON object: want one object")
	}
	return nil
}
