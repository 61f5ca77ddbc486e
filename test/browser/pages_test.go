package browser_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/switchback-dr/switchback/controller/console/consoletest"
	"github.com/switchback-dr/switchback/test/browser"
	"github.com/switchback-dr/switchback/test/stage"
)

var (
	chrome    *browser.Browser
	binary    string // the program under test, built once
	onlyPages = flag.String("pages", "", "only pictures whose name matches this")
	everyLook = flag.Bool("every-look", false, "every page in every width and colour, with pictures; else in two of them")
	onlyLooks = flag.String("looks", "", "only in widths and colours whose name matches this")
)

// shots are the pages that pictures are taken of, by the name of their picture.
var shots = []struct{ name, path, open string }{
	{"overview", "", ""}, {"groups", "groups", ""}, {"groups-needs", "groups?show=needs", ""}, {"group-at-home", "groups/catalog", ""}, {"group-failed-over", "groups/orders", "#actions > summary"}, {"group-rebuilding", "groups/ledger", ""},
	{"group-unborn", "groups/fresh", ""}, {"group-held", "groups/tasks", ""}, {"cycle-protected", "groups/airflow/cycle", ""}, {"cycle-failing-over", "groups/gateway/cycle", ""}, {"cycle-failed-over", "groups/orders/cycle", ""},
	{"cycle-rebuilding", "groups/ledger/cycle", ""}, {"cycle-ready", "groups/inventory/cycle", ""}, {"cycle-promoting", "groups/mail/cycle", ""}, {"cycle-done", "groups/catalog/cycle", ""},
	{"confirm", "groups/orders/do/failback", ""}, {"why", "groups/billing/why", ""}, {"group-events", "groups/orders/events", ""}, {"region", "regions/eu-west-1", ""}, {"rollouts", "rollouts", ""}, {"rollout", "rollouts/7f3a91c0", ""},
	{"rollout-halted", "rollouts/7f3a91c3", ""}, {"plan", "rollouts/7f3a91c1", ""}, {"plan-form", "plans?do=failback&region=eu-west-1", ""}, {"drills", "drills", ""}, {"events", "events", ""}, {"automation", "automation/disarm", ""},
	{"report", "operations/orders-8", ""}, {"not-found", "groups/nobody", ""}, {"login", "login", ""},
}

func TestMain(m *testing.M) {
	stage.Enter()
	os.Exit(run(m))
}

// TestPages looks at every page in every width and colour: axe-core finds nothing, nothing is wider than the window, the browser logs no error and asks no other host. The pictures
// are left to be looked at.
func TestPages(t *testing.T) {
	now := time.Now().UTC()
	f := consoletest.New(now, 10_000)
	s := httptest.NewServer(consoletest.Console(f, time.Now, slog.New(slog.DiscardHandler)))
	defer s.Close()
	which, look := regexp.MustCompile(*onlyPages), regexp.MustCompile(*onlyLooks)
	for _, l := range browser.Looks {
		if look.MatchString(l.Name) && (*everyLook || *onlyLooks != "" || l.Usual) {
			pages(t, s.URL, l, which)
		}
	}
}

func pages(t *testing.T, home string, look browser.Look, which *regexp.Regexp) {
	t.Helper()
	tab, err := chrome.Open(home, look)
	if err != nil {
		t.Fatal(err)
	}
	defer tab.Close()
	if err := login(tab, home, consoletest.Operator); err != nil {
		t.Fatal(err)
	}
	for _, x := range shots {
		if !which.MatchString(x.name) {
			continue
		}
		if err := tab.Do(20*time.Second, chromedp.Navigate(home+"/console/"+x.path), chromedp.WaitReady("main")); err != nil {
			t.Fatalf("%s: %v", x.name, err)
		}
		if x.open != "" {
			if err := tab.Do(5*time.Second, chromedp.Click(x.open)); err != nil {
				t.Errorf("%s: %v", x.name, err)
			}
		}
		wide, err := tab.Wide()
		if err != nil || wide != "" {
			t.Errorf("%s %s: %s %v", x.name, look.Name, wide, err)
		}
		var bad []string
		if look.Axe {
			if bad, err = tab.Axe(); err != nil {
				t.Fatalf("%s: %v", x.name, err)
			}
		}
		for _, b := range bad {
			t.Errorf("%s %s: %s", x.name, look.Name, b)
		}
		if !*everyLook && *onlyLooks == "" {
			// no picture
		} else if err := tab.Shoot(fmt.Sprintf("%s-%s", x.name, look.Name)); err != nil {
			t.Error(err)
		}
		for _, b := range tab.Bad() {
			if x.name == "not-found" && strings.Contains(b, "404") {
				continue
			}
			t.Errorf("%s %s: %s", x.name, look.Name, b)
		}
	}
}

func login(tab *browser.Tab, home, token string) error {
	return tab.Do(20*time.Second, chromedp.Navigate(home+"/console/login"), chromedp.SendKeys("#token", token), chromedp.Click("main form button"), chromedp.WaitReady("main h1"), chromedp.WaitReady("#person, #why-not"))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "sbconsole-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "switchback")
	if out, err := exec.Command("go", "build", "-o", binary, "../../cmd/switchback").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the program: %v\n%s", err, out)
		return 1
	}
	if chrome, err = browser.Start(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer chrome.Close()
	return m.Run()
}
