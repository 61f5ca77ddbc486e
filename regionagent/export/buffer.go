package export

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// buffer keeps what is not sent yet: one file for each collection, named by its number and how many samples it holds. Bounded in bytes: the oldest go first.
type buffer struct {
	dir     string
	most    int64 // bytes
	metrics *metrics
	log     *slog.Logger

	mu    sync.Mutex
	files []batch // oldest first
	bytes int64
	next  uint64
	news  chan struct{}
}

// batch is one file of the buffer.
type batch struct {
	name    string
	bytes   int64
	samples int
}

const batchEnd = ".write"

func openBuffer(dir string, most int64, m *metrics, log *slog.Logger) (*buffer, error) {
	b := &buffer{dir: dir, most: most, metrics: m, log: log, next: 1, news: make(chan struct{}, 1)}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	entries, err := os.ReadDir(dir) // sorted by name, so by number
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	for _, e := range entries {
		number, samples, ok := parseBatch(e.Name())
		if !ok {
			if strings.HasPrefix(e.Name(), ".") { // not finished when its writer died
				err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
			}
			continue
		}
		info, bad := e.Info()
		if bad != nil {
			return nil, fmt.Errorf("export: %w", bad)
		}
		b.files = append(b.files, batch{e.Name(), info.Size(), samples})
		b.bytes += info.Size()
		b.next = max(b.next, number+1)
	}
	b.show()
	return b, err
}

func parseBatch(name string) (number uint64, samples int, ok bool) {
	text, ok := strings.CutSuffix(name, batchEnd)
	a, c, two := strings.Cut(text, "-")
	number, err1 := strconv.ParseUint(a, 10, 64)
	samples, err2 := strconv.Atoi(c)
	return number, samples, ok && two && err1 == nil && err2 == nil && !strings.HasPrefix(name, ".")
}

// put keeps one collection; on disk when it returns. What can't be kept is counted as dropped.
func (b *buffer) put(data []byte, samples int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	name := fmt.Sprintf("%020d-%d%s", b.next, samples, batchEnd)
	if err := b.write(name, data); err != nil {
		b.metrics.dropped.WithLabelValues("not kept").Add(float64(samples))
		b.log.Error("metrics can't be kept until they are sent", "err", err, "samples", samples)
		return
	}
	b.next++
	b.files = append(b.files, batch{name, int64(len(data)), samples})
	b.bytes += int64(len(data))
	for b.bytes > b.most && len(b.files) > 1 {
		b.metrics.dropped.WithLabelValues("buffer full").Add(float64(b.files[0].samples))
		b.log.Warn("the buffer of metrics is full: the oldest are dropped", "samples", b.files[0].samples, "bytes", b.bytes)
		b.drop(0)
	}
	b.show()
	select {
	case b.news <- struct{}{}:
	default:
	}
}

func (b *buffer) write(name string, data []byte) error {
	tmp := filepath.Join(b.dir, "."+name)
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(tmp, filepath.Join(b.dir, name))
	}
	if err != nil {
		err = errors.Join(err, os.Remove(tmp))
	}
	return err
}

// first is the oldest that is not sent, and what it holds; false: all are.
func (b *buffer) first() (batch, []byte, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.files) > 0 {
		data, err := os.ReadFile(filepath.Join(b.dir, b.files[0].name))
		if err == nil {
			return b.files[0], data, true
		}
		b.metrics.dropped.WithLabelValues("not readable").Add(float64(b.files[0].samples))
		b.log.Error("kept metrics can't be read", "err", err)
		b.drop(0)
	}
	b.show()
	return batch{}, nil, false
}

// remove forgets one that is sent, or that nobody will ever take.
func (b *buffer) remove(x batch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.IndexFunc(b.files, func(f batch) bool { return f.name == x.name }); i >= 0 {
		b.drop(i)
	}
	b.show()
}

func (b *buffer) drop(i int) {
	if err := os.Remove(filepath.Join(b.dir, b.files[i].name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		b.log.Error("metrics that were sent can't be removed", "err", err)
	}
	b.bytes -= b.files[i].bytes
	b.files = slices.Delete(b.files, i, i+1)
}

func (b *buffer) show() {
	b.metrics.bytes.Set(float64(b.bytes))
	b.metrics.waiting.Set(float64(len(b.files)))
}
