package events

import (
	"reflect"
	"strings"
	"testing"
)

func TestDecodeAsk(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		verb, body string
		want       Ask
		says       string // of the error; empty = none
	}{
		"plain":              {"failover", `{"group":"orders","id":"1"}`, Ask{ID: "1", Verb: "failover", Actor: "ann", Group: "orders"}, ""},
		"no body":            {"disarm", ``, Ask{Verb: "disarm", Actor: "ann"}, ""},
		"actor is not taken": {"failover", `{"group":"orders","actor":"eve"}`, Ask{Verb: "failover", Actor: "ann", Group: "orders"}, ""},
		"cloud event": {
			"failover", `{"specversion":"1.0","id":"ev-1","source":"x","type":"y","data":{"group":"orders","to":"eu/a"}}`,
			Ask{ID: "ev-1", Verb: "failover", Actor: "ann", Group: "orders", To: "eu/a"}, "",
		},
		"same verb twice":       {"failover", `{"group":"orders","verb":"failover"}`, Ask{Verb: "failover", Actor: "ann", Group: "orders"}, ""},
		"another verb":          {"failover", `{"group":"orders","verb":"arm"}`, Ask{}, `body says verb "arm", subject says "failover"`},
		"unknown verb":          {"explode", `{"group":"orders"}`, Ask{}, `verb "explode": want one of`},
		"misspelt option":       {"failover", `{"group":"orders","unfence":true}`, Ask{}, `unknown field "unfence"`},
		"misspelt in the event": {"failover", `{"specversion":"1.0","id":"1","data":{"gruop":"orders"}}`, Ask{}, `data of the event`},
		"not JSON":              {"failover", `orders`, Ask{}, "body is not what this verb takes"},
		"two objects":           {"failover", `{"group":"orders"}{"group":"b"}`, Ask{}, "goes on after"},
		"nothing named":         {"failover", `{}`, Ask{}, "neither group nor region"},
		"both named":            {"failover", `{"group":"orders","region":"eu"}`, Ask{}, "want one of them"},
		"bad group":             {"failover", `{"group":"Orders"}`, Ask{}, "position 1"},
		"a cluster":             {"restart", `{"cluster":"eu/a"}`, Ask{Verb: "restart", Actor: "ann", Cluster: "eu/a"}, ""},
		"no cluster":            {"restart", `{"group":"orders"}`, Ask{}, `restart names group "orders": it is not about a group`},
		"too long":              {"maintenance", `{"cluster":"eu/a","for":"200h"}`, Ask{}, "want 0 (it ends now) to"},
		"bad target":            {"failover", `{"group":"orders","to":"eu"}`, Ask{}, "want region/cluster"},
		"no reason":             {"failover", `{"group":"orders","unfenced":true}`, Ask{}, "gives no reason"},
		"a reason":              {"failover", `{"group":"orders","unfenced":true,"reason":"fire"}`, Ask{Verb: "failover", Actor: "ann", Group: "orders", Unfenced: true, Reason: "fire"}, ""},
	} {
		got, err := DecodeAsk("ann", c.verb, []byte(c.body))
		switch {
		case c.says == "" && (err != nil || !reflect.DeepEqual(got, c.want)):
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, c.want)
		case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)):
			t.Errorf("%s: error %v, want one that says %q", name, err, c.says)
		}
	}
	if _, err := DecodeAsk("Ann", "disarm", nil); err == nil {
		t.Error("an actor with a bad name was accepted")
	}
}

func TestEveryVerbIsTaken(t *testing.T) {
	t.Parallel()
	for _, v := range askVerbs {
		body := `{"group":"orders"}`
		switch {
		case v.verb == AskPlan:
			body = `{"region":"eu","do":"failback"}`
		case v.about&aboutRollout != 0:
			body = `{"rollout":"7f3a91","group":"orders"}`
		case v.about&aboutGroup == 0:
			body = `{"cluster":"eu/orders-a"}`
		case v.verb == AskRetryTasks:
			body = `{"group":"orders","reason":"the file has come"}`
		}
		if v.about&aboutAgent != 0 {
			body = `{"agent":"eu/db-1","reason":"its disk was changed"}`
		}
		if _, err := DecodeAsk("ann", v.verb, []byte(body)); err != nil {
			t.Errorf("%s: %v", v.verb, err)
		}
	}
}
