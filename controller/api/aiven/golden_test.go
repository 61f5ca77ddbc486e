package aiven

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/switchback-dr/switchback/events"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestGoldens is what is answered, byte by byte. What clients read must not change by accident.
func TestGoldens(t *testing.T) {
	t.Parallel()
	away := func() *world {
		w := home()
		w.move(events.AskFailover)
		w.orders().Rule, w.orders().Why = "ok", awayRef.String()+" is active and nothing speaks against it"
		w.cluster(homeRef).Silent = 3 * time.Minute
		return w
	}
	restoring := func() *world { w := away(); w.cluster(homeRef).Silent = 0; w.restoring(); return w }
	for name, x := range map[string]struct {
		w    *world
		path string
	}{
		"home-primary":      {home(), toA},
		"home-recovery":     {home(), toB},
		"failed-primary":    {away(), toA},
		"rebuilding":        {restoring(), toA},
		"integration-home":  {home(), toA + "/integration"},
		"integration-away":  {away(), toB + "/integration"},
		"list":              {home(), "/v1/project/find/service"},
		"no-such-service":   {home(), service + "nowhere"},
		"service-type":      {home(), "/v1/project/shop/service-types/pg"},
		"not-answered-here": {home(), "/v1/project/shop/kafka"},
	} {
		rec := httptest.NewRecorder()
		x.w.server().ServeHTTP(rec, httptest.NewRequest("GET", x.path, nil))
		var got bytes.Buffer
		fmt.Fprintf(&got, "%d\n", rec.Code)
		if err := json.Indent(&got, rec.Body.Bytes(), "", "  "); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("testdata", name+".json")
		if *update {
			if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatalf("%s has no golden: %v (go test ./controller/api/aiven -update writes it)", name, err)
		}
		if d := cmp.Diff(string(want), got.String()); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// FuzzRequests sends what no client would: nothing is an internal error, whoever may not ask asks nothing, and what is asked is only ever of a verb that stands in the tables.
func FuzzRequests(f *testing.F) {
	for _, path := range []string{toA, toB, "/v1/project/shop/service", integrations, integrations + "/x", toA + "/tags", toA + "/integration", "/v1/project/../service", "/v1/project//service", "/v1/%00"} {
		for i, body := range []string{"", "{}", "null", "[]", `{"disaster_recovery_role":"failed"}`, `{"disaster_recovery_role":null,"powered":true}`, `{"powered":"x"}`, `{"maintenance":1}`, `{"service_integrations":{}}`, pairBody, `{"plan":{}}`} {
			f.Add([]string{"GET", "PUT", "POST", "DELETE"}[i%4], path, body, i%2 == 0)
		}
	}
	may := map[string]bool{events.AskFailover: true, events.AskRestore: true, events.AskSwitchover: true, events.AskFailback: true, events.AskProtect: true, events.AskRelease: true}
	f.Fuzz(func(t *testing.T, method, path, body string, viewer bool) {
		if strings.ContainsAny(method, " \r\n\t") || !strings.HasPrefix(path, "/v1/") || method == "" {
			return
		}
		w := home()
		if viewer {
			for verb := range may {
				w.forbids[verb] = true
			}
		}
		defer func() {
			if p := recover(); p != nil && !strings.Contains(fmt.Sprint(p), "invalid NewRequest arguments") {
				panic(p)
			}
		}()
		rec := httptest.NewRecorder()
		w.server().ServeHTTP(rec, httptest.NewRequest(method, path, strings.NewReader(body)))
		if rec.Code >= 500 {
			t.Errorf("%s %s %q: %d %s", method, path, body, rec.Code, rec.Body)
		}
		for _, a := range w.asked {
			if viewer || !may[a.Verb] {
				t.Errorf("%s %s %q asked %+v", method, path, body, a)
			}
		}
	})
}
