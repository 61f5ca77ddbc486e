package aiven

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
)

// avn is the three requests of `avn service update S --disaster-recovery-role R`, as its version 4.18 sends them.
func (w *world) avn(t *testing.T, path, role string) {
	t.Helper()
	plan := w.ok(t, "GET", path, "")["service"].(map[string]any)["plan"]
	w.ok(t, "GET", "/v1/project/shop/service-types/pg", "")
	w.ok(t, "PUT", path, fmt.Sprintf(`{"plan": %q, "user_config": {}, "disaster_recovery_role": %q}`, plan, role))
}

// TestPublishedFlow is the failover and the failback in two steps as the documentation has them, with the states and roles that it shows.
func TestPublishedFlow(t *testing.T) {
	t.Parallel()
	w := home()
	step := func(what, want, ask string) {
		t.Helper()
		if got := w.roles(t); got != want || w.last() != ask {
			t.Fatalf("%s: %s, asked %q; want %s, %q", what, got, w.last(), want, ask)
		}
	}
	step("at first", "RUNNING/active RUNNING/passive", "")
	w.avn(t, toA, "failed")
	step("failed over", "POWEROFF/failed RUNNING/active", "failover orders")
	w.avn(t, toA, "passive")
	step("the primary is restored", "REBUILDING/passive RUNNING/active", "restore eu-west-1/orders-a")
	w.not(t, 409, "avn service wait orders-a", "PUT", toA, `{"disaster_recovery_role":"active"}`)
	w.restored()
	step("and follows", "RUNNING/passive RUNNING/active", "restore eu-west-1/orders-a")
	w.avn(t, toA, "active")
	step("and is active again", "RUNNING/active RUNNING/passive", "failback orders")
	w.avn(t, toB, "active")
	step("a switchover", "RUNNING/passive RUNNING/active", "switchover orders eu-central-1/orders-b")
	w.avn(t, toB, "failed")
	step("a failover of the recovery", "RUNNING/active POWEROFF/failed", "failover orders")
	for _, a := range w.asked {
		if a.Actor != "alice" || !strings.HasPrefix(a.Reason, "disaster_recovery_role of orders-") || a.ID == "" {
			t.Errorf("ask without actor, reason or id: %+v", a)
		}
	}
}

// TestRoleRows reaches every row of the role machine.
func TestRoleRows(t *testing.T) {
	t.Parallel()
	failedOver := func() *world { w := home(); w.move(events.AskFailover); return w }
	moving := func(verb string) *world {
		w := home()
		w.orders().Record.Op = &events.Operation{ID: "orders-8", Verb: verb, From: homeRef, To: awayRef}
		return w
	}
	unborn := func() *world { w := home(); w.orders().Record = nil; return w }
	released := func() *world { w := home(); w.orders().Record.Gone = "bob"; return w }
	rebuilding := func() *world { w := failedOver(); w.restoring(); return w }
	roleless := func() *world { w := home(); w.cluster(awayRef).Role = events.RoleNone; return w }
	seen := map[string]bool{}
	for _, x := range []struct {
		w       *world
		service events.Ref
		to      events.Role
		row     string
		verb    string
		says    string
	}{
		{unborn(), homeRef, events.RoleFailed, "role.no-record", "", "switchback why orders"},
		{released(), homeRef, events.RoleFailed, "role.released", "", "released from care by bob"},
		{home(), homeRef, events.RoleActive, "role.is-so", "", ""},
		{failedOver(), homeRef, events.RoleFailed, "role.is-so", "", ""},
		{moving(events.AskFailover), homeRef, events.RoleFailed, "role.on-its-way", "", ""},
		{moving(events.AskSwitchover), awayRef, events.RoleActive, "role.on-its-way", "", ""},
		{moving(events.AskSwitchover), homeRef, events.RolePassive, "role.on-its-way", "", ""},
		{moving(events.AskSwitchover), homeRef, events.RoleFailed, "role.failed.active", "failover", ""},
		{failedOver(), homeRef, events.RoleActive, "role.active.failed", "", "--disaster-recovery-role passive"},
		{rebuilding(), homeRef, events.RoleActive, "role.active.rebuilding", "", "(copy, 400 of 1000 bytes)"},
		{home(), awayRef, events.RoleActive, "role.active.recovery", "switchover", ""},
		{home(), homeRef, events.RolePassive, "role.passive.active", "", "avn service update orders-b"},
		{failedOver(), homeRef, events.RolePassive, "role.passive.failed", "restore", ""},
		{home(), awayRef, events.RoleFailed, "role.failed.passive", "", "that is orders-a"},
		{home(), homeRef, events.RoleFailed, "role.failed.active", "failover", ""},
		{roleless(), awayRef, events.RoleFailed, "role.unknown", "", "no role"},
		{func() *world { w := home(); w.move(events.AskSwitchover); return w }(), homeRef, events.RoleActive, "role.active.home", "failback", ""},
	} {
		c := catalogueOf("shop", x.w.groups)
		p, err := c.find(x.service.Cluster)
		if err != nil {
			t.Fatal(err)
		}
		got := decide(&wish{place: p, to: x.to, peers: c.peers(p)})
		seen[got.rule] = true
		if got.rule != x.row || got.ask.Verb != x.verb || !strings.Contains(got.refused, x.says) || (x.says == "") != (got.refused == "") {
			t.Errorf("%s to %s: %+v; want %s %q %q", x.service, x.to, got, x.row, x.verb, x.says)
		}
	}
	ids := map[string]bool{}
	for _, r := range roleRows {
		if ids[r.id] || r.when == "" || r.ask != nil && r.why != nil {
			t.Errorf("row %s is not well formed", r.id)
		}
		ids[r.id] = true
		if !seen[r.id] {
			t.Errorf("no case reaches row %s", r.id)
		}
	}
}

// TestStates are those that no documented step rests in.
func TestStates(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		what string
		do   func(*world)
		want string
	}{
		{"a failover is under way", func(w *world) {
			w.orders().Record.Op = &events.Operation{Verb: events.AskFailover, From: homeRef, To: awayRef}
		}, "RUNNING/active REBALANCING/passive"},
		{"a swap is done, its old active not back yet", func(w *world) {
			w.move(events.AskSwitchover)
			w.orders().Record.Op.Protected = 0
			w.cluster(homeRef).State = events.StatePoweroff
		}, "REBALANCING/passive RUNNING/active"},
		{"long after a swap its old active is down", func(w *world) {
			w.move(events.AskSwitchover)
			w.cluster(homeRef).State = events.StatePoweroff
		}, "POWEROFF/passive RUNNING/active"},
		{"its region is dark", func(w *world) { w.cluster(homeRef).Silent = time.Minute }, "UNKNOWN/active RUNNING/passive"},
		{"its region is dark, and it was failed over", func(w *world) {
			w.move(events.AskFailover)
			w.cluster(homeRef).Silent = time.Minute
		}, "POWEROFF/failed RUNNING/active"},
		{"nobody cares for it", func(w *world) { w.orders().Record = nil }, "RUNNING/<nil> RUNNING/<nil>"},
	} {
		w := home()
		x.do(w)
		if got := w.roles(t); got != x.want {
			t.Errorf("%s: %s, want %s", x.what, got, x.want)
		}
	}
}

// TestGivenUp has a move end otherwise than asked while its answer waits, and one that takes longer than the answer does.
func TestGivenUp(t *testing.T) {
	t.Parallel()
	w := home()
	w.moves = func(w *world, string string) {
		w.orders().Record.Op = &events.Operation{ID: "orders-7", Verb: events.AskSwitchover, From: homeRef, To: awayRef, Ended: "aborted", EndWhy: "the target was lost"}
	}
	w.forbids = nil
	status, v := w.do(t, "PUT", toB, `{"disaster_recovery_role":"active"}`)
	if status != 409 || !strings.Contains(fmt.Sprint(v["message"]), "orders-7 was aborted: the target was lost") {
		t.Errorf("%d %v", status, v)
	}
	w = home()
	w.moves = func(w *world, string string) {
		w.orders().Record.Op = &events.Operation{ID: "orders-7", Verb: events.AskSwitchover, From: homeRef, To: awayRef}
	}
	if s := w.ok(t, "PUT", toB, `{"disaster_recovery_role":"active"}`)["service"].(map[string]any); s["state"] != "REBALANCING" {
		t.Errorf("after its time the answer says %v", s["state"])
	}
}

// TestRefused is everything that must be refused, and change nothing.
func TestRefused(t *testing.T) {
	t.Parallel()
	w := home()
	w.not(t, 404, "no service is called nowhere in project shop", "GET", service+"nowhere", "")
	w.not(t, 404, "of kind exec", "GET", service+"plain-a", "")
	w.not(t, 404, "project find", "GET", "/v1/project/find/service/orders-a", "")
	w.not(t, 400, "project", "GET", "/v1/project/SHOP/service", "")
	w.not(t, 400, "is not answered here", "GET", "/v1/project/shop/kafka", "")
	w.not(t, 400, "is not answered here", "PATCH", toA, "")
	w.not(t, 400, "want active, passive or failed", "PUT", toA, `{"disaster_recovery_role":"boss"}`)
	w.not(t, 400, "want a string", "PUT", toA, `{"disaster_recovery_role":1}`)
	w.not(t, 400, "no JSON object", "PUT", toA, `{"disaster_recovery_role":`)
	w.not(t, 409, `plan "business-8"`, "PUT", toA, `{"plan":"business-8"}`)
	w.not(t, 409, "homes never change", "PUT", toA, `{"cloud":"google-europe-west1"}`)
	w.not(t, 409, "termination_protection", "PUT", toA, `{"termination_protection":true}`)
	w.not(t, 409, "user_config", "PUT", toA, `{"user_config":{"pg_version":"16"}}`)
	w.not(t, 409, "not powered off", "PUT", toA, `{"powered":false}`)
	w.not(t, 409, "disk_space_mb", "PUT", toA, `{"disk_space_mb":1024,"disaster_recovery_role":"failed"}`)
	w.not(t, 409, "maintenance", "PUT", toA, `{"maintenance":{"dow":"monday","time":"10:00:00"}}`)
	w.not(t, 403, "it is active", "DELETE", toA, "")
	w.not(t, 403, "deletes none", "DELETE", toB, "")
	w.not(t, 409, "tags", "PUT", toA+"/tags", `{"tags":{"a":"b"}}`)
	w.ok(t, "PUT", toA, `{"plan":"`+Plan+`","user_config":{},"powered":true,"cloud":"eu-west-1","maintenance":{"dow":"never","time":"00:00:00"},"project_vpc_id":null,"tech_emails":[],"termination_protection":false}`)
	if len(w.asked) != 0 {
		t.Errorf("what says nothing new asked for %+v", w.asked)
	}

	w.refuses = "at least 4 GB would be lost: repeat it with --accept-loss to move all the same"
	w.not(t, 409, "--accept-loss to move all the same (rule refuse.loss)", "PUT", toA, `{"disaster_recovery_role":"failed"}`)

	w = home()
	w.gone = errors.New("no controller answers")
	for _, x := range [][3]string{{"GET", toA, ""}, {"GET", "/v1/project/shop/service", ""}, {"PUT", toA, `{"disaster_recovery_role":"failed"}`}, {"GET", "/v1/project/shop/integration/x", ""}, {"GET", service + "nowhere", ""}} {
		w.not(t, 503, "no controller answers", x[0], x[1], x[2])
	}
	w.gone, w.sees = nil, "find"
	w.not(t, 403, "does not see project shop", "GET", toA, "")
	w.not(t, 403, "does not see project shop", "PUT", toA, `{"disaster_recovery_role":"failed"}`)
	w.sees, w.forbids = "", map[string]bool{events.AskRestore: true}
	for _, x := range [][3]string{{"PUT", toA, `{"disaster_recovery_role":"failed"}`}, {"PUT", toA, `{}`}, {"POST", "/v1/project/shop/service", `{}`}, {"POST", "/v1/project/shop/integration", `{}`}, {"DELETE", "/v1/project/shop/integration/x", ""}, {"DELETE", toA, ""}} {
		w.not(t, 403, "needs the role operator", x[0], x[1], x[2])
	}
}

// TestNames finds clusters that share a name in a project.
func TestNames(t *testing.T) {
	t.Parallel()
	w := home()
	w.groups = append(w.groups, pairOf("more", "shop", events.Ref{Region: "eu-north-1", Cluster: "orders-a"}, events.Ref{Region: "eu-west-1", Cluster: "more-b"}))
	w.not(t, 409, "2 clusters of project shop are called orders-a: want orders-a.eu-west-1 or orders-a.eu-north-1", "GET", toA, "")
	for _, name := range []string{"orders-a.eu-west-1", "orders-b", "orders-b.eu-central-1"} {
		if s := w.ok(t, "GET", service+name, "")["service"].(map[string]any); s["service_name"] != name {
			t.Errorf("%s is shown as %v", name, s["service_name"])
		}
	}
	// what is shown of one service names its peers as the list does, although only its own group is asked for
	w.groups[len(w.groups)-1].Clusters[1].Cluster = events.Ref{Region: "eu-west-1", Cluster: "orders-b"}
	for _, path := range []string{service + "orders-a.eu-west-1", "/v1/project/shop/service"} {
		var dest any
		v := w.ok(t, "GET", path, "")
		if s, one := v["service"].(map[string]any); one {
			dest = s["service_integrations"].([]any)[0].(map[string]any)["dest_service"]
		} else {
			dest = v["services"].([]any)[0].(map[string]any)["service_integrations"].([]any)[0].(map[string]any)["dest_service"]
		}
		if dest != "orders-b.eu-central-1" {
			t.Errorf("%s calls the recovery %v", path, dest)
		}
	}
	w.ok(t, "PUT", service+"orders-a.eu-west-1", `{"disaster_recovery_role":"failed"}`)
	if w.last() != "failover orders" {
		t.Errorf("asked %s", w.last())
	}
}

// TestCreate makes a copy of a cluster that is in the fleet and has no data yet, and nothing else.
func TestCreate(t *testing.T) {
	t.Parallel()
	w := home()
	third := func(w *world) {
		g := w.orders()
		g.Config.Recovery = append(g.Config.Recovery, thirdRef)
		g.Clusters = append(g.Clusters, fleet.ClusterView{Cluster: thirdRef, Home: events.HomeRecovery, Role: events.RoleFailed, State: events.StatePoweroff, Hold: "there is no data yet", Lag: -1})
		g.Record.Members = append(g.Record.Members, events.Member{Cluster: thirdRef, Home: events.HomeRecovery, Role: events.RoleFailed})
	}
	const create = "/v1/project/shop/service"
	body := func(name, source string) string {
		return `{"cloud":"eu-north-1","plan":"startup-4","service_integrations":[{"integration_type":"disaster_recovery","source_service":"` + source + `"}],"service_name":"` + name +
			`","service_type":"pg","user_config":{},"termination_protection":false,"static_ips":[]}`
	}
	w.ok(t, "GET", "/v1/project/shop/vpcs", "") // as avn does first
	w.not(t, 409, "is not in the fleet", "POST", create, body("orders-c", "orders-a"))
	third(w)
	w.not(t, 409, "is no recovery of orders-b", "POST", create, body("orders-c", "orders-b"))
	w.not(t, 409, "source_service", "POST", create, body("orders-c", "nowhere"))
	w.not(t, 409, "is there already", "POST", create, strings.ReplaceAll(body("orders-b", "orders-a"), "eu-north-1", "eu-central-1"))
	w.not(t, 409, "creates no servers", "POST", create, `{"service_name":"new","service_type":"pg","plan":"startup-4","cloud":"x","service_integrations":[]}`)
	w.not(t, 409, "is there already", "POST", create, `{"service_name":"orders-a","service_type":"pg","service_integrations":[]}`)
	w.not(t, 409, "homes never change", "POST", create, strings.ReplaceAll(body("orders-c", "orders-a"), "eu-north-1", "eu-west-1"))
	w.not(t, 400, "want one", "POST", create, strings.ReplaceAll(body("orders-c", "orders-a"), "disaster_recovery", "read_replica"))
	w.not(t, 400, "service_name is missing", "POST", create, `{}`)
	s := w.ok(t, "POST", create, body("orders-c", "orders-a"))["service"].(map[string]any)
	if w.last() != "protect eu-north-1/orders-c" || s["state"] != "REBUILDING" || s["disaster_recovery_role"] != "passive" {
		t.Errorf("asked %s, shows %v/%v", w.last(), s["state"], s["disaster_recovery_role"])
	}
	w.ok(t, "POST", create, body("orders-c", "orders-a")) // again, while it is built
	if len(w.asked) != 1 {
		t.Errorf("asked twice: %+v", w.asked)
	}
}
