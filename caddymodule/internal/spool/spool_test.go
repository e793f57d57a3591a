package spool_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/spool"
)

const kib, mib = 1 << 10, 1 << 20

func newBudget(memory, disk int64) *spool.Budget {
	b := new(spool.Budget)
	b.Memory.SetLimit(memory)
	b.Disk.SetLimit(disk)
	return b
}

// plenty has room for every body in these tests.
func plenty() *spool.Budget { return newBudget(64*mib, 64*mib) }

// content returns n random bytes, different for each seed.
func content(seed uint64, n int) []byte {
	source := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
	p := make([]byte, n)
	source.Read(p)
	return p
}

// temporary gives the test a temporary folder of its own.
func temporary(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Setenv("TMP", dir) // Windows
	return dir
}

func wantEmpty(t *testing.T, dir string) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func wantUnused(t *testing.T, budget *spool.Budget) {
	t.Helper()
	if budget.Memory.Used() != 0 || budget.Disk.Used() != 0 {
		t.Errorf("still in use: %d bytes of memory, %d of disk", budget.Memory.Used(), budget.Disk.Used())
	}
}

// sizes are one below, at and one above each boundary: segment, memory share, limit.
var sizes = []int{
	0, 1, 4*kib - 1, 4 * kib, 4*kib + 1, 68*kib - 1, 68 * kib, 68*kib + 1,
	256*kib - 1, 256 * kib, 256*kib + 1, 1000 * kib,
}

// The same bytes come out and go into the MAC, for every size, way to disk and kind of
// reader.
func TestBytes(t *testing.T) {
	temporary(t)
	ways := map[string]func(io.Reader) io.Reader{
		"plain":             func(r io.Reader) io.Reader { return r },
		"halves":            iotest.HalfReader,
		"EOF with the data": iotest.DataErrReader,
		"a few bytes":       func(r io.Reader) io.Reader { return &sipReader{r} },
	}
	for _, size := range sizes {
		want := content(1, size)
		for name, way := range ways {
			for _, declared := range []int64{-1, int64(size)} {
				for _, budget := range []*spool.Budget{plenty(), newBudget(0, 64*mib), newBudget(70*kib, 64*mib)} {
					b, mac := new(spool.Body), sha256.New()
					limits := spool.Limits{Size: 1000 * kib, Memory: 256 * kib}
					if err := b.Fill(way(bytes.NewReader(want)), mac, declared, limits, budget); err != nil {
						t.Fatalf("%d bytes, %s: %v", size, name, err)
					}
					sum := sha256.Sum256(want)
					if !bytes.Equal(mac.Sum(nil), sum[:]) || b.Size() != int64(size) {
						t.Errorf("%d bytes, %s: the MAC saw other bytes, or the size is %d", size, name, b.Size())
					}
					wantBytes(t, b, want)
					b.Release()
					wantUnused(t, budget)
				}
			}
		}
	}
}

type sipReader struct{ io.Reader }

func (r *sipReader) Read(p []byte) (int, error) { return r.Reader.Read(p[:min(len(p), 777)]) }

func wantBytes(t *testing.T, b *spool.Body, want []byte) {
	t.Helper()
	if len(want) < 10*kib { // it reads byte by byte, among other things
		if err := iotest.TestReader(b.Reader(), want); err != nil {
			t.Error(err)
		}
	}
	if got, err := io.ReadAll(b.Reader()); err != nil || !bytes.Equal(got, want) {
		t.Errorf("read %d bytes, %v; want %d", len(got), err, len(want))
	}
	var copied bytes.Buffer
	if n, err := b.WriteTo(&copied); err != nil || n != int64(len(want)) || !bytes.Equal(copied.Bytes(), want) {
		t.Errorf("WriteTo wrote %d bytes, %v; want %d", n, err, len(want))
	}
}

func TestTooLarge(t *testing.T) {
	temporary(t)
	for _, limit := range []int{0, 1, 4 * kib, 5 * kib, 256 * kib, 300 * kib} {
		budget, source := plenty(), bytes.NewReader(content(2, 400*kib))
		b := new(spool.Body)
		err := b.Fill(source, io.Discard, -1, spool.Limits{Size: int64(limit), Memory: 256 * kib}, budget)
		if !errors.Is(err, spool.ErrTooLarge) {
			t.Errorf("limit %d: %v", limit, err)
		}
		if read := 400*kib - source.Len(); read != limit+1 {
			t.Errorf("limit %d: read %d bytes", limit, read)
		}
		b.Release()
		wantUnused(t, budget)
	}
}

func TestNoLimit(t *testing.T) {
	b := new(spool.Body)
	defer b.Release()
	err := b.Fill(bytes.NewReader(content(2, 10*kib)), io.Discard, -1, spool.Limits{Size: math.MaxInt64, Memory: mib}, plenty())
	if err != nil || b.Size() != 10*kib {
		t.Errorf("%d bytes, %v", b.Size(), err)
	}
}

// A body that breaks off is an error and never a shorter body. The part that came is
// kept for unsafe_observe_only.
func TestBrokenOff(t *testing.T) {
	temporary(t)
	for _, size := range []int{0, 10, 100 * kib, 500 * kib} {
		want := content(3, size)
		b, budget := new(spool.Body), plenty()
		source := io.MultiReader(bytes.NewReader(want), iotest.ErrReader(io.ErrUnexpectedEOF))
		err := b.Fill(source, io.Discard, int64(size)+1, spool.Limits{Size: mib, Memory: 256 * kib}, budget)
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes: %v", size, err)
		}
		wantBytes(t, b, want)
		b.Release()
		wantUnused(t, budget)
	}
}

// A declared length allocates nothing: until bytes come, a body holds one small segment.
func TestDeclaredLengthIsNotAllocated(t *testing.T) {
	for _, declared := range []int64{-1, 0, 100, mib, 1 << 62} {
		budget := plenty()
		b := new(spool.Body)
		most := int64(0)
		source := readerFunc(func([]byte) (int, error) {
			most = max(most, budget.Memory.Used()+budget.Disk.Used())
			return 0, io.EOF
		})
		if err := b.Fill(source, io.Discard, declared, spool.Limits{Size: mib, Memory: mib}, budget); err != nil {
			t.Error(err)
		}
		if most > 4*kib {
			t.Errorf("declared %d: %d bytes were taken before one came", declared, most)
		}
		b.Release()
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// While it arrives, a body takes at most its share of memory, and on disk one segment.
func TestMemoryOfOneBody(t *testing.T) {
	temporary(t)
	for _, tc := range []struct {
		declared   int64
		most, last int64
	}{
		{-1, 256*kib + 68*kib, 64 * kib},
		{1000 * kib, 68 * kib, 64 * kib},
	} {
		budget, source := plenty(), bytes.NewReader(content(4, 1000*kib))
		var most, last int64
		watch := readerFunc(func(p []byte) (int, error) {
			last = budget.Memory.Used()
			most = max(most, last)
			return source.Read(p)
		})
		b := new(spool.Body)
		if err := b.Fill(watch, io.Discard, tc.declared, spool.Limits{Size: mib, Memory: 256 * kib}, budget); err != nil {
			t.Fatal(err)
		}
		if most > tc.most || last != tc.last {
			t.Errorf("declared %d: at most %d, at the end %d; want %d, %d", tc.declared, most, last, tc.most, tc.last)
		}
		if budget.Memory.Used() != 0 || budget.Disk.Used() != 1000*kib {
			t.Errorf("held: %d of memory, %d of disk", budget.Memory.Used(), budget.Disk.Used())
		}
		b.Release()
		wantUnused(t, budget)
	}
}

// A body with Stretch may fill half of the budget, and not a byte more. One that meets the
// half goes to disk with what it has.
func TestStretch(t *testing.T) {
	temporary(t)
	limits := spool.Limits{Size: 2 * mib, Memory: 256 * kib, Stretch: true}
	for _, tc := range []struct {
		name           string
		size           int
		declared       int64
		budget, others int64 // what other bodies hold of it
		disk           bool
	}{
		{"up to the limit", 2 * mib, -1, 5 * mib, 0, false},
		{"declared", 2 * mib, 2 * mib, 5 * mib, 0, false},
		{"just below the half", mib - 64*kib, -1, 2 * mib, 0, false},
		{"over the half", mib + 1, -1, 2 * mib, 0, true},
		{"declared over the half", mib + 1, mib + 1, 2 * mib, 0, true},
		{"declared too short", 2 * mib, 300 * kib, 2 * mib, 0, true},
		{"others hold most of the half", 500 * kib, -1, 2 * mib, 800 * kib, true},
		{"others hold the half, but the share is free", 256 * kib, 256 * kib, 2 * mib, mib, false},
		{"others hold everything", 500 * kib, 500 * kib, 2 * mib, 2 * mib, true},
		{"a smaller budget than its half", 500 * kib, 500 * kib, 0, mib, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			budget, b, want := newBudget(tc.budget, 64*mib), new(spool.Body), content(9, tc.size)
			budget.Memory.Force(tc.others)
			most := int64(0)
			source := bytes.NewReader(want)
			watch := readerFunc(func(p []byte) (int, error) {
				most = max(most, budget.Memory.Used())
				return source.Read(p)
			})
			if err := b.Fill(watch, io.Discard, tc.declared, limits, budget); err != nil {
				t.Fatal(err)
			}
			if got := budget.Disk.Used() > 0; got != tc.disk {
				t.Errorf("on disk: %v", got)
			}
			if bound := max(tc.budget/2, tc.others+324*kib); most > bound { // the share and two segments
				t.Errorf("%d bytes in use, at most %d", most, bound)
			}
			wantBytes(t, b, want)
			b.Release()
			budget.Memory.Give(tc.others)
			wantUnused(t, budget)
		})
	}
}

// Without a disk, a body that meets the half ends with ErrFull, and gives back what it took.
func TestStretchWithoutDisk(t *testing.T) {
	if err := os.Remove(temporary(t)); err != nil {
		t.Fatal(err)
	}
	budget, b := newBudget(2*mib, 64*mib), new(spool.Body)
	limits := spool.Limits{Size: 4 * mib, Memory: 4 * kib, Stretch: true}
	if err := b.Fill(bytes.NewReader(content(5, 2*mib)), io.Discard, -1, limits, budget); !errors.Is(err, spool.ErrFull) {
		t.Error(err)
	}
	b.Release()
	wantUnused(t, budget)
}

// A disk that is full in the middle of the move: what went to disk before is given back.
func TestStretchDiskFull(t *testing.T) {
	dir, budget, b := temporary(t), newBudget(2*mib, 512*kib), new(spool.Body)
	limits := spool.Limits{Size: 4 * mib, Memory: 4 * kib, Stretch: true}
	if err := b.Fill(bytes.NewReader(content(5, 2*mib)), io.Discard, -1, limits, budget); !errors.Is(err, spool.ErrBudget) {
		t.Error(err)
	}
	b.Release()
	b.Release()
	wantUnused(t, budget)
	wantEmpty(t, dir)
}

func TestNoRoom(t *testing.T) {
	limits := spool.Limits{Size: mib, Memory: 64 * kib}
	t.Run("disk budget", func(t *testing.T) {
		dir, budget := temporary(t), newBudget(mib, 100*kib)
		b := new(spool.Body)
		if err := b.Fill(bytes.NewReader(content(5, 500*kib)), io.Discard, -1, limits, budget); !errors.Is(err, spool.ErrFull) {
			t.Error(err)
		}
		b.Release()
		wantUnused(t, budget)
		wantEmpty(t, dir)
	})
	t.Run("no folder", func(t *testing.T) {
		dir, budget := temporary(t), plenty()
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
		b := new(spool.Body)
		if err := b.Fill(bytes.NewReader(content(5, 500*kib)), io.Discard, -1, limits, budget); !errors.Is(err, spool.ErrFull) {
			t.Error(err)
		}
		b.Release()
		wantUnused(t, budget)
	})
	t.Run("memory budget", func(t *testing.T) {
		temporary(t)
		budget := newBudget(0, mib)
		b := new(spool.Body)
		if err := b.Fill(bytes.NewReader(content(5, 500*kib)), io.Discard, -1, limits, budget); err != nil {
			t.Error(err)
		}
		wantBytes(t, b, content(5, 500*kib))
		b.Release()
		wantUnused(t, budget)
	})
}

// Nobody else can open the file of a body, and Release leaves no file behind.
func TestFile(t *testing.T) {
	dir := temporary(t)
	b, budget := new(spool.Body), plenty()
	if err := b.Fill(bytes.NewReader(content(6, 500*kib)), io.Discard, -1, spool.Limits{Size: mib, Memory: 0}, budget); err != nil {
		t.Fatal(err)
	}
	held, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || os.PathSeparator == '/' && len(held) > 0 {
		t.Errorf("visible: %v, %v", held, err)
	}
	b.Release()
	b.Release() // a second call is harmless
	wantUnused(t, budget)
	wantEmpty(t, dir)
}

func TestReleased(t *testing.T) {
	temporary(t)
	for _, memory := range []int64{0, mib} {
		b := new(spool.Body)
		if err := b.Fill(bytes.NewReader(content(7, 100*kib)), io.Discard, -1, spool.Limits{Size: mib, Memory: memory}, plenty()); err != nil {
			t.Fatal(err)
		}
		started, fresh, closed := b.Reader(), b.Reader(), b.Reader()
		io.CopyN(io.Discard, started, 10)
		closed.Close()
		if _, err := closed.Read(make([]byte, 1)); !errors.Is(err, spool.ErrReleased) {
			t.Errorf("read after close: %v", err)
		}
		b.Release()
		for _, r := range []io.Reader{started, fresh, b.Reader()} {
			if n, err := r.Read(make([]byte, 1)); n != 0 || !errors.Is(err, spool.ErrReleased) {
				t.Errorf("read after release: %d, %v", n, err)
			}
		}
	}
	empty := new(spool.Body)
	empty.Release()
	if _, err := empty.Reader().Read(make([]byte, 1)); !errors.Is(err, spool.ErrReleased) {
		t.Errorf("empty body: %v", err)
	}
}

// Many bodies at once share a budget that is too small for them. Each is read by two
// cursors, one of which is still reading at Release. No cursor sees another body's bytes.
func TestBuffersAreNotShared(t *testing.T) {
	dir, budget := temporary(t), newBudget(512*kib, 64*mib)
	var wg sync.WaitGroup
	for worker := range 16 {
		wg.Go(func() {
			for round := range 30 {
				seed := uint64(worker*1000 + round)
				if err := holdOne(seed, budget); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	wantUnused(t, budget)
	wantEmpty(t, dir)
}

// holdOne holds one body of random bytes. Every other one may stretch.
func holdOne(seed uint64, budget *spool.Budget) error {
	want := content(seed, int(rand.New(rand.NewPCG(seed, 1)).Int64N(300*kib)))
	b := new(spool.Body)
	defer b.Release()
	if err := b.Fill(bytes.NewReader(want), io.Discard, -1, spool.Limits{Size: mib, Memory: 128 * kib, Stretch: seed%2 == 0}, budget); err != nil {
		return err
	}
	late := make(chan error, 1)
	go func() {
		got, err := io.ReadAll(b.Reader()) // Release may cut it off, but every byte is right
		if !bytes.HasPrefix(want, got) || err != nil && !errors.Is(err, spool.ErrReleased) {
			late <- fmt.Errorf("late reader: %d bytes, %w", len(got), err)
		}
		close(late)
	}()
	got, err := io.ReadAll(b.Reader())
	if err != nil || !bytes.Equal(got, want) {
		return fmt.Errorf("read %d bytes of %d, %w", len(got), len(want), err)
	}
	b.Release()
	return <-late
}

// The error names the cause, in the system's own words.
func TestCauses(t *testing.T) {
	dir := temporary(t)
	if err := spool.Try(); err != nil {
		t.Fatal(err)
	}
	wantEmpty(t, dir)
	err := fillToDisk(newBudget(mib, 100*kib))
	if full, ok := errors.AsType[*spool.FullError](err); !ok || !errors.Is(full.Cause, spool.ErrBudget) {
		t.Errorf("over the budget: %v", err)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := spool.Try(); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), dir) {
		t.Errorf("a missing folder: %v", err)
	}
	err = fillToDisk(plenty())
	if full, ok := errors.AsType[*spool.FullError](err); !ok || !errors.Is(full.Cause, fs.ErrNotExist) || !errors.Is(err, spool.ErrFull) {
		t.Errorf("no folder: %v", err)
	}
	if errors.Is(err, spool.ErrTooLarge) || !strings.Contains(err.Error(), dir) {
		t.Errorf("no folder: %v", err)
	}
}

func fillToDisk(budget *spool.Budget) error {
	b := new(spool.Body)
	defer b.Release()
	return b.Fill(bytes.NewReader(content(5, 500*kib)), io.Discard, -1, spool.Limits{Size: mib}, budget)
}

// BenchmarkFill compares one pass through the spool with reading into one permanent
// buffer.
func BenchmarkFill(b *testing.B) {
	for _, size := range []int{kib, 64 * kib, mib, 10 * mib} {
		body, budget := content(8, size), plenty()
		limits := spool.Limits{Size: 25 * mib, Memory: mib}
		b.Run(fmt.Sprintf("spool/%d", size), func(b *testing.B) {
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				held := new(spool.Body)
				if err := held.Fill(bytes.NewReader(body), io.Discard, int64(size), limits, budget); err != nil {
					b.Fatal(err)
				}
				held.Release()
			}
		})
		b.Run(fmt.Sprintf("copy/%d", size), func(b *testing.B) {
			b.SetBytes(int64(size))
			buffer := make([]byte, size)
			for b.Loop() {
				io.ReadFull(bytes.NewReader(body), buffer)
			}
		})
	}
}
