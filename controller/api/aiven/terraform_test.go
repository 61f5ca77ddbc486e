package aiven

import (
	"fmt"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
)

const (
	integrations = "/v1/project/shop/integration"
	limit        = "?limit=999" // the provider adds it to every request
)

// read is what the provider asks of one service at every refresh, and what it needs to find there.
func (w *world) read(t *testing.T, path string) map[string]any {
	t.Helper()
	s := w.ok(t, "GET", path+"?include_secrets=true&limit=999", "")["service"].(map[string]any)
	for _, key := range []string{"maintenance", "connection_info", "service_integrations", "service_uri_params", "user_config", "cloud_name", "plan", "service_type", "termination_protection", "group_list", "create_time", "update_time"} {
		if s[key] == nil {
			t.Errorf("%s: %s is missing", path, key)
		}
	}
	if status, _ := w.do(t, "GET", "/v1/project/shop/service-types/pg/plans/"+Plan+limit, ""); status != 404 {
		t.Errorf("sizes of a plan: %d", status)
	}
	w.ok(t, "GET", "/v1/project/shop/static-ips"+limit, "")
	w.ok(t, "GET", path+"/tags"+limit, "")
	return s
}

// id is the integration's, found at the service.
func (w *world) id(t *testing.T) string {
	t.Helper()
	all := w.read(t, toA)["service_integrations"].([]any)
	if len(all) != 1 {
		t.Fatalf("%d integrations, want 1", len(all))
	}
	return all[0].(map[string]any)["service_integration_id"].(string)
}

func (w *world) active(t *testing.T, id string) bool {
	t.Helper()
	i := w.ok(t, "GET", integrations+"/"+id+limit, "")["service_integration"].(map[string]any)
	if i["source_service"] != "orders-a" || i["dest_service"] != "orders-b" {
		t.Errorf("the ends are %v and %v", i["source_service"], i["dest_service"])
	}
	return i["active"].(bool)
}

const pairBody = `{"source_service":"orders-a","dest_service":"orders-b","integration_type":"disaster_recovery"}`

// TestTerraformImport is import of both services and the integration, a plan, and an apply without the import of the integration: nothing is asked of anybody.
func TestTerraformImport(t *testing.T) {
	t.Parallel()
	w := home()
	for range 2 { // import, then refresh
		w.read(t, toA)
		w.read(t, toB)
	}
	id := w.id(t)
	if !w.active(t, id) {
		t.Error("the integration of a group at home is not active")
	}
	i := w.ok(t, "POST", integrations+limit, pairBody)["service_integration"].(map[string]any)
	if i["service_integration_id"] != id || i["active"] != true {
		t.Errorf("the same pair again is %v, active %v; want %s", i["service_integration_id"], i["active"], id)
	}
	if w.id(t); len(w.asked) != 0 {
		t.Errorf("asked for %+v", w.asked)
	}
}

// updateBody is what the provider sends for any change of a service: here of nothing that can be changed.
const updateBody = `{"cloud":"eu-west-1","maintenance":{"dow":"never","time":"00:00:00"},"plan":"` + Plan + `","powered":true,"project_vpc_id":null,"tech_emails":[],"termination_protection":%t,"user_config":{}}`

// TestTerraformRevivesNothing: an update of a failed service says that it is powered. It stays off.
func TestTerraformRevivesNothing(t *testing.T) {
	t.Parallel()
	w := home()
	w.ok(t, "PUT", toA+limit, fmt.Sprintf(updateBody, false))
	w.ok(t, "PUT", toA+"/tags"+limit, `{"tags":{}}`)
	w.move(events.AskFailover)
	for _, protected := range []bool{true, false} {
		w.not(t, 409, "powered: true does not revive it", "PUT", toA+limit, fmt.Sprintf(updateBody, protected))
	}
	if got := w.roles(t); got != "POWEROFF/failed RUNNING/active" {
		t.Errorf("%s", got)
	}
}

// TestTerraformNeverRecreates: what can't be seen is never 404, and the drift after a failover is of the state alone.
func TestTerraformNeverRecreates(t *testing.T) {
	t.Parallel()
	w := home()
	before := w.read(t, toA)
	w.move(events.AskFailover)
	w.cluster(homeRef).Silent = time.Hour
	after := w.read(t, toA)
	for _, key := range []string{"cloud_name", "plan", "service_type", "termination_protection"} {
		if before[key] != after[key] {
			t.Errorf("%s drifts from %v to %v", key, before[key], after[key])
		}
	}
	id := w.id(t)
	if w.active(t, id) {
		t.Error("the integration of a group that is away is active")
	}
}

// TestTerraformSwap is a plan that swaps the integration's ends after a failover: its DELETE comes first, and is refused.
func TestTerraformSwap(t *testing.T) {
	t.Parallel()
	w := home()
	id := w.id(t)
	w.move(events.AskFailover)
	w.not(t, 409, "switchback failback orders", "DELETE", integrations+"/"+id+limit, "")
	w.not(t, 409, "the ends of an integration are homes", "POST", integrations+limit, `{"source_service":"orders-b","dest_service":"orders-a","integration_type":"disaster_recovery"}`)
	w.restoring()
	w.not(t, 409, "switchback failback orders", "DELETE", integrations+"/"+id+limit, "")
	w = home()
	w.orders().Record.Op = &events.Operation{ID: "orders-8", Verb: events.AskSwitchover, From: homeRef, To: awayRef}
	w.not(t, 409, "orders-8 is under way", "DELETE", integrations+"/"+id+limit, "")
	w = home()
	w.orders().Record.Drill = &events.Drill{ID: "orders-drill-8"}
	w.not(t, 409, "orders-drill-8 is under way", "DELETE", integrations+"/"+id+limit, "")
	w = home()
	w.orders().Config.Recovery = append(w.orders().Config.Recovery, thirdRef)
	w.not(t, 409, "take eu-central-1/orders-b out of it in the fleet's file", "DELETE", integrations+"/"+id+limit, "")
}

// TestTerraformDestroy deletes the integration, then both services at once: the group is let go, the databases stay.
func TestTerraformDestroy(t *testing.T) {
	t.Parallel()
	w := home()
	id := w.id(t)
	w.forbids[events.AskRelease] = true
	w.not(t, 403, "release needs", "DELETE", integrations+"/"+id+limit, "")
	delete(w.forbids, events.AskRelease)
	w.ok(t, "DELETE", integrations+"/"+id+limit, "")
	if w.last() != "release orders" {
		t.Errorf("asked %s", w.last())
	}
	w.not(t, 404, id, "GET", integrations+"/"+id+limit, "")
	for _, path := range []string{toA, toB} {
		w.not(t, 403, "deletes none", "DELETE", path+limit, "")
		if s := w.read(t, path); s["disaster_recovery_role"] != nil || len(s["service_integrations"].([]any)) != 0 {
			t.Errorf("%s still has a role: %v", path, s["disaster_recovery_role"])
		}
	}
	w.not(t, 409, "switchback apply", "POST", integrations+limit, pairBody)
}

// TestTerraformFailback is the published tab: the integration is made anew while the recovery is active.
func TestTerraformFailback(t *testing.T) {
	t.Parallel()
	w := home()
	id := w.id(t)
	w.move(events.AskFailover)
	w.not(t, 409, "switchback failback orders", "POST", integrations+limit, pairBody)

	w.orders().Config.FailbackByIntegration = true
	w.moves = func(w *world, verb string) {
		if verb == events.AskFailback {
			w.restoring()
			w.orders().Record.Member(homeRef).Work.Then = events.AskFailback
		}
	}
	for range 2 { // the second one finds it on its way
		i := w.ok(t, "POST", integrations+limit, pairBody)["service_integration"].(map[string]any)
		if i["service_integration_id"] != id || i["active"] != false {
			t.Errorf("a failback is begun: %v, active %v; want %s, not active yet", i["service_integration_id"], i["active"], id)
		}
	}
	if len(w.asked) != 1 || w.last() != "failback orders" {
		t.Errorf("asked for %+v", w.asked)
	}
	if w.active(t, id) {
		t.Error("active while the home is restored")
	}
	w.restored()
	w.orders().Record.Next = &events.Operation{ID: "orders-9", Verb: events.AskFailback}
	if w.active(t, id) {
		t.Error("active before the swap")
	}
	w.orders().Record.Next = nil
	w.move(events.AskFailback)
	if !w.active(t, id) {
		t.Errorf("not active at home: %s", w.roles(t))
	}
	w.refuses = "the agent of eu-west-1/orders-a is silent"
	w.move(events.AskFailover)
	w.not(t, 409, "is silent (rule refuse.loss)", "POST", integrations+limit, pairBody)
}

// TestIntegrations is what else of an integration is refused.
func TestIntegrations(t *testing.T) {
	t.Parallel()
	w := home()
	for _, x := range []struct {
		status     int
		says, body string
	}{
		{400, "integration_type", `{"source_service":"orders-a","dest_service":"orders-b","integration_type":"logs"}`},
		{400, "want source_service and dest_service", `{"integration_type":"disaster_recovery"}`},
		{400, "unknown field", `{"integration_type":"disaster_recovery","colour":"red"}`},
		{400, "settings", `{"source_service":"orders-a","dest_service":"orders-b","integration_type":"disaster_recovery","user_config":{"a":1}}`},
		{400, "want shop", `{"source_service":"orders-a","dest_service":"orders-b","integration_type":"disaster_recovery","dest_project":"find"}`},
		{404, "no service is called", `{"source_service":"nowhere","dest_service":"orders-b","integration_type":"disaster_recovery"}`},
		{409, "is of group orders and young-b of group young", `{"source_service":"orders-a","dest_service":"young-b","integration_type":"disaster_recovery"}`},
		{409, "switchback why young", `{"source_service":"young-a","dest_service":"young-b","integration_type":"disaster_recovery"}`},
	} {
		w.not(t, x.status, x.says, "POST", integrations, x.body)
	}
	id := w.id(t)
	w.ok(t, "PUT", integrations+"/"+id, `{"user_config":{}}`)
	w.not(t, 409, "no settings", "PUT", integrations+"/"+id, `{"user_config":{"a":1}}`)
	w.not(t, 404, "nobody", "GET", integrations+"/nobody", "")
	// as avn integration-create sends it
	w.ok(t, "POST", integrations, `{"source_service":"orders-a","dest_service":"orders-b","source_endpoint_id":null,"dest_endpoint_id":null,"integration_type":"disaster_recovery","user_config":{}}`)
	if all := w.ok(t, "GET", toB+"/integration", "")["service_integrations"].([]any); len(all) != 1 {
		t.Errorf("the recovery shows %d integrations", len(all))
	}
}
