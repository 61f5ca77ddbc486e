package aiven

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/switchback-dr/switchback/controller/api"
)

// problem is Aiven's shape of an error: its clients show the message as it is.
type problem struct {
	Message string  `json:"message"`
	Errors  []fault `json:"errors"`
}

type fault struct {
	Message string `json:"message"`
	Status  int    `json:"status"`
}

// WriteError answers with an error in Aiven's shape. Who mounts the handler uses it for what never gets here, such as a token that is not known.
func WriteError(w http.ResponseWriter, status int, message string) {
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	write(w, status, problem{message, []fault{{message, status}}})
}

func write(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil { // nothing here can't be encoded
		status, b = http.StatusInternalServerError, []byte(`{"message":"the answer can't be encoded","errors":[]}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // who went away hears nothing
}

// fail answers with an error. What is no refusal of ours means that nobody could say: 503, for a 404 would have Terraform make it all anew.
func fail(w http.ResponseWriter, err error) {
	if r, ok := errors.AsType[*api.Refused](err); ok {
		WriteError(w, r.Status, r.Why)
		return
	}
	WriteError(w, http.StatusServiceUnavailable, "nobody can say now: "+err.Error())
}
