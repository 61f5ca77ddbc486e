package api

import (
	"net/http"

	"github.com/switchback-dr/switchback/events"
)

// askFields is every field an ask may have; its verb stands beside them.
var askFields = []string{
	"verb", "group", "region", "kind", "cluster", "agent", "to", "accept_loss", "unfenced", "while_blind", "copy", "for", "do", "groups", "select", "plan", "rollout", "limits", "if",
}

var anyAsks = []route{
	{"POST", "/asks", nil, anyAsk},
	askRoute("/agents/{region}/{agent}/rejoin", events.AskRejoin),
	askRoute("/record/rebuild", events.AskRebuildRecord, "group", "to", "unfenced"),
	{"GET", "/version", nil, version},
	{"GET", "/whoami", nil, whoami},
}

// anyAsk takes an ask as the bus takes it: for a program that speaks both.
func anyAsk(_ *Server, r *http.Request) (*reply, error) {
	var a events.Ask
	if err := decodeAsk(r, &a, askFields); err != nil {
		return nil, err
	}
	if a.Verb == "" {
		return nil, kindBadRequest.of("the body names no verb")
	}
	if tag := a.If; tag != "" && r.Header.Get("If-Match") != "" {
		return nil, kindBadRequest.of("If-Match and if say the same: want one of them")
	}
	if err := withHeaders(r, &a); err != nil {
		return nil, err
	}
	return through(r, &a)
}
