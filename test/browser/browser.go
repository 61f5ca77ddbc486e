// Package browser drives Debian's Chromium: the console is judged as a person's browser shows it, by its pages, its errors, what it asks of whom, and by axe-core's rules. DESIGN.md
// has the reasons.
package browser

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Cache is where the browser's tests find axe-core and leave their pictures, seen from this package's directory.
const Cache = "../../.cache"

// Browser is one Chromium.
type Browser struct {
	ctx  context.Context
	stop func()
	axe  string
}

// Start starts Chromium. As root it runs without its sandbox, which Chromium refuses root: it only ever sees pages that a test serves on this host.
func Start(ctx context.Context) (*Browser, error) {
	path, err := exec.LookPath("chromium")
	if err != nil {
		return nil, errors.New("chromium is not here: `make e2e-console` installs it")
	}
	axe, err := os.ReadFile(filepath.Join(Cache, "axe.min.js"))
	if err != nil {
		return nil, fmt.Errorf("axe-core is not here: `make e2e-console` fetches it: %w", err)
	}
	// A stage's certificates are of an authority of its own, which Chromium takes from no file: what they prove is tested where programs speak to the API.
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.IgnoreCertErrors, chromedp.Flag("hide-scrollbars", true), chromedp.Flag("force-color-profile", "srgb"), chromedp.Flag("disable-component-update", true))
	if os.Geteuid() == 0 {
		opts = append(opts, chromedp.NoSandbox)
	}
	all, stop := chromedp.NewExecAllocator(ctx, opts...)
	b, end := chromedp.NewContext(all)
	if err := chromedp.Do(b, chromedp.Navigate("about:blank")); err != nil {
		end()
		stop()
		return nil, fmt.Errorf("start chromium: %w", err)
	}
	return &Browser{b, func() { end(); stop() }, string(axe)}, nil
}

// Close ends it.
func (b *Browser) Close() { b.stop() }

// Look is how a page is looked at.
type Look struct {
	Name     string
	Width    int64
	Height   int64
	Dark     bool
	NoScript bool
	Still    bool // prefers reduced motion
	Usual    bool // every run of the tests looks so
	Axe      bool // held against the rules too: colours count in both schemes, widths say little more
}

// Looks are the widths and colours that every page is looked at in.
var Looks = []Look{
	{Name: "1440-light", Width: 1440, Height: 1000, Axe: true, Usual: true}, {Name: "1440-dark", Width: 1440, Height: 1000, Dark: true, Axe: true},
	{Name: "390-light", Width: 390, Height: 844}, {Name: "390-dark", Width: 390, Height: 844, Dark: true, Usual: true},
}

// Tab is a tab, and what went wrong in it.
type Tab struct {
	Ctx  context.Context
	b    *Browser
	home string // host that may be asked
	mu   sync.Mutex
	bad  []string
}

// Open opens a tab for pages of one host.
func (b *Browser) Open(home string, look Look) (*Tab, error) {
	u, err := url.Parse(home)
	if err != nil {
		return nil, err
	}
	ctx, cancel := chromedp.NewContext(b.ctx)
	context.AfterFunc(b.ctx, cancel)
	t := &Tab{Ctx: ctx, b: b, home: u.Host}
	if err := chromedp.Listen(ctx, t.heard); err != nil {
		return nil, fmt.Errorf("open a tab: %w", err)
	}
	scheme := "light"
	if look.Dark {
		scheme = "dark"
	}
	motion := "no-preference"
	if look.Still {
		motion = "reduce"
	}
	_, e1 := chromedp.Call(ctx, network.Enable, network.EnableParams{})
	_, e2 := chromedp.Call(ctx, log.Enable, cdp.Empty{})
	_, e3 := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: look.NoScript})
	_, e4 := chromedp.Call(ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: look.Width, Height: look.Height, DeviceScaleFactor: 1, Mobile: look.Width < 600})
	_, e5 := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: motion}},
	})
	return t, errors.Join(e1, e2, e3, e4, e5)
}

// heard notes errors of the page and requests to other hosts.
func (t *Tab) heard(e any) {
	switch e := e.(type) {
	case *runtime.EventExceptionThrown:
		t.note(fmt.Sprintf("exception: %s %+v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception))
	case *runtime.EventConsoleAPICalled:
		if e.Type == "error" || e.Type == "warning" {
			var parts []string
			for _, a := range e.Args {
				parts = append(parts, string(a.Value)+a.Description)
			}
			t.note("console: " + strings.Join(parts, " "))
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			t.note(fmt.Sprintf("log: %s %s", e.Entry.Text, e.Entry.URL))
		}
	case *network.EventRequestWillBeSent:
		if u, err := url.Parse(e.Request.URL); err == nil && u.Host != t.home && u.Scheme != "data" && u.Scheme != "about" {
			t.note("asked another host: " + e.Request.URL)
		}
	}
}

func (t *Tab) note(bad string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.bad = append(t.bad, bad)
}

// Bad is what went wrong since it was asked last.
func (t *Tab) Bad() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	bad := t.bad
	t.bad = nil
	return bad
}

// Close closes the tab.
func (t *Tab) Close() { _ = chromedp.Cancel(t.Ctx) }

// Do does things in the tab, in at most so long.
func (t *Tab) Do(limit time.Duration, actions ...chromedp.Action[chromedp.Void]) error {
	ctx, cancel := context.WithTimeout(t.Ctx, limit)
	defer cancel()
	return chromedp.Do(ctx, actions...)
}

// Eval runs a script in the tab and returns what it comes to; a promise is awaited.
func Eval[T any](t *Tab, script string) (T, error) {
	ctx, cancel := context.WithTimeout(t.Ctx, 2*time.Minute) // axe-core takes its time on a busy machine
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
}

// Shoot takes a picture of the whole page and leaves it in the cache.
func (t *Tab) Shoot(name string) error {
	ctx, cancel := context.WithTimeout(t.Ctx, 20*time.Second)
	defer cancel()
	whole := true
	shot, err := chromedp.Call(ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{CaptureBeyondViewport: &whole})
	if err != nil {
		return fmt.Errorf("picture of %s: %w", name, err)
	}
	dir := filepath.Join(Cache, "console")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name+".png"), shot.Data, 0o644)
}

// finding is a rule of axe-core that a page breaks.
type finding struct {
	ID, Impact, Help string
	Nodes            []struct {
		HTML, FailureSummary string
	}
}

// Axe holds the page against axe-core's rules of WCAG 2.0 to 2.2, A and AA, and its best practices. It returns what breaks them.
func (t *Tab) Axe() ([]string, error) {
	run := t.b.axe + `; axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"], resultTypes: ["violations"]}).then(r => JSON.stringify(r.violations))`
	text, err := Eval[string](t, run)
	if err != nil {
		return nil, fmt.Errorf("run axe-core: %w", err)
	}
	var found []finding
	if err := json.Unmarshal([]byte(text), &found); err != nil {
		return nil, fmt.Errorf("read axe-core's findings: %w", err)
	}
	var bad []string
	for _, f := range found {
		for _, n := range f.Nodes {
			bad = append(bad, fmt.Sprintf("%s (%s): %s: %.160s: %s", f.ID, f.Impact, f.Help, n.HTML, n.FailureSummary))
		}
	}
	return bad, nil
}

// Wide says what of the page is wider than the window; "" if nothing is.
func (t *Tab) Wide() (string, error) {
	return Eval[string](t, `(() => { const w = document.documentElement.clientWidth; if (document.documentElement.scrollWidth <= w + 1) return "";
		const e = [...document.querySelectorAll("main *")].find(e => e.getBoundingClientRect().right > w + 1 && !e.closest("nav, .drop, .unseen")); return "the page is " + document.documentElement.scrollWidth + " wide in a window of " + w + (e ? ": " + e.outerHTML.slice(0, 120) : ""); })()`)
}
