package aiven_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/pkg/config"
	"github.com/switchback-dr/switchback/test/apistage"
)

const fleetFile = `defaults: {profile: fast}
groups:
  orders: {project: shop, kind: postgres, primary: eu-west-1/orders-a, recovery: [eu-central-1/orders-b]}
  search: {project: find, kind: postgres, primary: eu-west-1/search-a, recovery: [eu-central-1/search-b]}
`

// TestMounted asks a real controller, over HTTP, with both forms of Authorization: what its leader knows is shown, and what comes to nothing says so in Aiven's shape, and in Astro's.
func TestMounted(t *testing.T) {
	t.Parallel()
	s := apistage.Start(t, io.Discard)
	s.Apply(fleetFile)
	alice, eve := s.Token("alice", config.RoleOperator, "shop"), s.Token("eve", config.RoleViewer)
	const shop, orders = "/v1/project/shop/service", "/v1/project/shop/service/orders-a"
	for deadline := time.Now().Add(30 * time.Second); ; { // the leader hears of a configuration, it is not asked for it
		if a := s.Do("GET", shop, alice, ""); strings.Contains(string(a.Body), "orders-b") {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("the groups are not shown: %d %s", a.Status, a.Body)
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatal("ended")
		}
	}
	for _, x := range []struct {
		what, method, path, token, body string
		status                          int
		says                            string
		header                          []string
	}{
		{"the form of avn", "GET", orders, "", "", 200, `"state":"UNKNOWN"`, []string{"Authorization: aivenv1 " + alice}},
		{"the form of curl", "GET", shop, alice, "", 200, `"service_name":"orders-b"`, nil},
		{"a viewer of everything", "GET", "/v1/project/find/service/search-a", eve, "", 200, `"cloud_name":"eu-west-1"`, nil},
		{"no token", "GET", shop, "", "", 401, `"message":"want a token`, nil},
		{"a wrong token", "GET", shop, "sbt_wrong_wrong", "", 401, `"errors":[{"message":"this token is not known`, nil},
		{"another project", "GET", "/v1/project/find/service", alice, "", 403, "does not see project find", nil},
		{"a viewer who moves", "PUT", orders, eve, `{"disaster_recovery_role":"failed"}`, 403, "has the role viewer", nil},
		{"nothing is under care", "PUT", orders, alice, `{"disaster_recovery_role":"failed"}`, 409, "switchback why orders", nil},
		{"no such service", "GET", shop + "/nowhere", alice, "", 404, "no service is called nowhere", nil},
		{"Astro has no workflows here", "GET", "/platform/v1beta1/organizations/shop/clusters", alice, "", 200, `"totalCount":0`, nil},
		{"Astro without a token", "GET", "/platform/v1beta1/organizations/shop/clusters", "", "", 401, `"statusCode":401`, nil},
	} {
		a := s.Do(x.method, x.path, x.token, x.body, x.header...)
		if a.Status != x.status || !strings.Contains(string(a.Body), x.says) || !json.Valid(a.Body) {
			t.Errorf("%s: %d %s; want %d and %s", x.what, a.Status, a.Body, x.status, x.says)
		}
		if a.Status == http.StatusUnauthorized && strings.Contains(string(a.Body), "sbt_") {
			t.Errorf("%s: the token stands in the answer: %s", x.what, a.Body)
		}
	}
}
