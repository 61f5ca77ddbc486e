package browser_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/test/browser"
	"github.com/switchback-dr/switchback/test/stage"
)

// stepLimit bounds each step of the story on a busy machine.
const stepLimit = 90 * time.Second

// TestStory loses a region of real servers, and a person brings a group through its service recovery cycle with nothing but the console: failover, restore, promote. The page they
// watch is never loaded again by them: what changes comes to it. Every row that was acknowledged before is there in the end.
func TestStory(t *testing.T) {
	keep, err := os.MkdirTemp("", "sbconsole-logs-")
	if err != nil {
		t.Fatal(err)
	}
	g := stage.Group{Name: "orders", Home: stage.West, Mode: events.ModeManual}
	s, err := stage.Build(t.Context(), stage.Options{Binary: binary, Groups: []stage.Group{g}, API: true, Keep: keep})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log("logs are kept in", keep)
		} else if err := os.RemoveAll(keep); err != nil {
			t.Error(err)
		}
	}()
	token, err := s.Token(t.Context(), "alice", "operator", "default")
	if err != nil {
		t.Fatal(err)
	}
	home := passage(t, s, strings.TrimPrefix(s.API(stage.North), "https://"))
	p := person(t, home, token)
	if _, err := s.Server(g.Primary()).SQL(t.Context(), "CREATE TABLE kept AS SELECT 7741 AS n"); err != nil {
		t.Fatal(err)
	}

	p.does("the overview is calm", chromedp.Navigate(home+"/console/"), sees("Nothing needs you"))
	p.shoot("story-1-calm")
	if err := s.KillRegion(stage.West); err != nil {
		t.Fatal(err)
	}
	dark := time.Now()
	p.does("the outage comes to the page that is open", sees("orders: wait.manual"))
	t.Logf("the open page named the group that needs a person %v after its region was killed", time.Since(dark).Round(100*time.Millisecond))
	p.shoot("story-2-outage")
	p.does("the group", chromedp.Click(`#needs a[href$="/groups/orders"]`), chromedp.WaitVisible("#group-status"), chromedp.Click(`//a[normalize-space()="Manage"]`), chromedp.WaitVisible("#cycle"))
	p.shoot("story-3-cycle")

	p.does("Initiate failover", press("Initiate failover"))
	p.confirms("eu-west-1 is dark")
	p.does("the failover comes to the page", sees("Failed over to the secondary region"))
	t.Logf("the open page said that it was failed over %v after the region was killed", time.Since(dark).Round(100*time.Millisecond))
	p.shoot("story-4-failed-over")

	if err := s.StartRegion(stage.West); err != nil {
		t.Fatal(err)
	}
	p.does("Restore primary service", press("Restore primary service"))
	p.confirms("eu-west-1 is back")
	p.does("the restore comes to the page", sees("the primary service is passive"))
	p.shoot("story-5-ready")
	p.does("Promote primary to active", press("Promote primary to active"))
	p.confirms("home again")
	p.does("the way home comes to the page", chromedp.WaitVisible(`//a[normalize-space()="Done"]`))
	p.shoot("story-6-home")
	p.does("Done", chromedp.Click(`//a[normalize-space()="Done"]`), chromedp.WaitVisible("#group-status"), sees("Primary region is active"))
	rows, err := s.Server(g.Primary()).SQL(t.Context(), "SELECT n, pg_is_in_recovery() FROM kept")
	if err != nil || fmt.Sprint(rows) != "[[7741 f]]" {
		t.Errorf("the primary, which accepts writes, has %v, %v: want what was written before", rows, err)
	}
	for _, b := range p.tab.Bad() {
		t.Error(b)
	}
}

// walker is a person at the console.
type walker struct {
	t    *testing.T
	tab  *browser.Tab
	home string
}

func person(t *testing.T, home, token string) *walker {
	t.Helper()
	tab, err := chrome.Open(home, browser.Looks[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tab.Close)
	if err := login(tab, home, token); err != nil {
		t.Fatal(err)
	}
	return &walker{t, tab, home}
}

func (p *walker) does(what string, actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := p.tab.Do(stepLimit, actions...); err != nil {
		text, _ := browser.Eval[string](p.tab, "document.body.innerText")
		p.shoot("story-failed")
		p.t.Fatalf("%s: %v\nthe page says:\n%s\n%s", what, err, text, strings.Join(p.tab.Bad(), "\n"))
	}
}

// confirms fills the form in and sends it; its button can't be pressed before the name is typed.
func (p *walker) confirms(reason string) {
	p.t.Helper()
	p.does("the form", chromedp.WaitVisible("#reason"), chromedp.SendKeys("#reason", reason))
	if off, err := browser.Eval[bool](p.tab, `document.getElementById("confirm").disabled`); err != nil || !off {
		p.t.Errorf("before the name is typed the button can be pressed: %v", err)
	}
	bad, err := p.tab.Axe()
	if err != nil || len(bad) > 0 {
		p.t.Errorf("the form: %v %v", bad, err)
	}
	p.does("confirm", chromedp.SendKeys("#name", "orders"), chromedp.WaitEnabled("#confirm"), chromedp.Click("#confirm"), chromedp.WaitVisible("#cycle"))
}

func (p *walker) shoot(name string) {
	p.t.Helper()
	if err := p.tab.Shoot(name); err != nil {
		p.t.Error(err)
	}
}

// press clicks a button of the wizard once it can be pressed, on the page as it is then.
func press(label string) chromedp.Action[chromedp.Void] {
	return chromedp.Click(fmt.Sprintf(`//li[contains(@class,"now")]//a[normalize-space()=%q and not(@aria-disabled)]`, label))
}

// sees waits until the page says something, without loading it anew; "a: b" is in one element of a list: both.
func sees(text string) chromedp.Action[chromedp.Void] {
	x := fmt.Sprintf(`//main//*[not(contains(@class,"unseen")) and contains(normalize-space(.), %q)]`, text)
	if a, b, ok := strings.Cut(text, ": "); ok {
		x = fmt.Sprintf(`//main//li[contains(., %q) and contains(., %q)]`, a, b)
	}
	return chromedp.WaitReady(x)
}

// passage is a way from here to an address of the stage, for a browser that lives in no place of its network.
func passage(t *testing.T, s *stage.Stage, to string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	t.Cleanup(func() { cancel(); l.Close(); all.Wait() })
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { carry(ctx, c, s, to) })
		}
	})
	return "https://" + l.Addr().String()
}

func carry(ctx context.Context, c net.Conn, s *stage.Stage, to string) {
	defer c.Close()
	d, err := s.DialOutside(ctx, "tcp", to)
	if err != nil {
		return
	}
	defer d.Close()
	stop := context.AfterFunc(ctx, func() { c.Close(); d.Close() })
	defer stop()
	done := make(chan struct{})
	go func() { _, _ = io.Copy(d, c); d.Close(); close(done) }()
	_, _ = io.Copy(c, d)
	c.Close()
	<-done
}
