package history

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

func entry(id, gate string, class Class) *Entry {
	return &Entry{ID: id, Gate: gate, Class: class, Time: time.Unix(1, 0), Path: "/hook"}
}

// ids returns the ids of entries in their order.
func ids(entries []*Entry) string {
	var all []string
	for _, e := range entries {
		all = append(all, e.ID)
	}
	return strings.Join(all, " ")
}

func TestHistoryKeepsTheLast(t *testing.T) {
	h := New(3)
	for i := range 5 {
		h.Add(entry(fmt.Sprint(i), "a", Accepted))
	}
	if got := ids(h.All()); got != "2 3 4" {
		t.Errorf("kept %s", got)
	}
	if h.Find("1") != nil || h.Find("4") == nil {
		t.Error("an entry is found that is not kept, or the reverse")
	}
}

// A scanner fills its own queue, and leaves every other one its share.
func TestFloodLeavesTheRest(t *testing.T) {
	h := New(100)
	for _, class := range []Class{Accepted, Failed, Refused} {
		for i := range 30 {
			h.Add(entry(fmt.Sprint("a", class, ".", i), "a", class))
		}
	}
	for i := range 10_000 {
		h.Add(entry(fmt.Sprint("scan", i), "b", Unsigned))
	}
	kept := make(map[Class]int)
	for _, e := range h.All() {
		kept[e.Class]++
	}
	for class, n := range kept {
		if n != 25 {
			t.Errorf("class %d keeps %d of a share of 25", class, n)
		}
	}
	if len(kept) != 4 {
		t.Errorf("kept %v", kept)
	}
}

func TestDiagnoseKeepsWhatWasShown(t *testing.T) {
	h := New(10)
	h.Add(entry("x", "a", Refused))
	shown := h.Find("x")
	h.Diagnose("x", "secret_whitespace", "trim it")
	h.Diagnose("gone", "secret_whitespace", "trim it")
	if shown.Diagnosis != "" || h.Find("x").Hint != "trim it" {
		t.Errorf("shown %+v, kept %+v", shown, h.Find("x"))
	}
}

func TestFollow(t *testing.T) {
	h := New(10)
	h.Add(entry("1", "a", Accepted))
	before, f, leave := h.Follow()
	h.Add(entry("2", "a", Refused))
	h.Diagnose("2", "unknown", "")
	if ids(before) != "1" {
		t.Errorf("before: %s", ids(before))
	}
	if e := <-f.Entries; e.ID != "2" || e.Diagnosis != "" {
		t.Errorf("first %+v", e)
	}
	if e := <-f.Entries; e.ID != "2" || e.Diagnosis != "unknown" {
		t.Errorf("then %+v", e)
	}
	leave()
	for range maxWaiting + 10 {
		h.Add(entry("3", "a", Accepted))
	}
	if len(f.Entries) != 0 {
		t.Error("a follower that left still gets entries")
	}
}

func TestAnswerIsAnUpdate(t *testing.T) {
	h := New(10)
	h.Add(entry("x", "a", Accepted))
	_, f, leave := h.Follow()
	defer leave()
	h.Answer("x", "5xx", 502, time.Second)
	h.Answer("gone", "2xx", 200, time.Second)
	e := <-f.Entries
	if e.Answer != "5xx" || e.Status != 502 || e.Answered != time.Second || e.Changed() <= e.Recorded() || h.Find("x") != e || len(f.Entries) != 0 {
		t.Errorf("%+v", e)
	}
}

// Marks go up, whatever the clock does, and those of times are ordered as the times.
func TestMarks(t *testing.T) {
	h := New(10)
	h.last = MarkOf(time.Now().Add(time.Hour)) // and then the clock was set back
	h.Add(entry("1", "a", Accepted))
	h.Add(entry("2", "a", Accepted))
	if all := h.All(); all[0].Recorded() >= all[1].Recorded() || ids(all) != "1 2" {
		t.Errorf("recorded at %d and %d", all[0].Recorded(), all[1].Recorded())
	}
	now := time.Now()
	if !MarkOf(now).Time().Equal(now) || MarkOf(time.Time{}) != 0 || MarkOf(now.AddDate(5000, 0, 0)) <= MarkOf(now) {
		t.Error("times are not ordered")
	}
}

// What is not there any more is known by gate and result, in bounded memory.
func TestEvicted(t *testing.T) {
	h := New(1)
	for _, gate := range []string{"a", "b", "c"} {
		e := entry(gate, gate, Refused)
		e.Result = "refused"
		h.Add(e)
	}
	_, f, leave := h.Follow()
	defer leave()
	b := f.Evicted[Kind{"b", "refused"}]
	if !f.Evicted.After(0, "a", "refused") || !f.Evicted.After(b-1, "", "") || f.Evicted.After(b, "", "") || f.Evicted.After(0, "a", "accepted") || f.Evicted.After(0, "c", "") {
		t.Errorf("%v", f.Evicted)
	}
	for i := range 3 * maxEvicted {
		h.Add(entry("x"+fmt.Sprint(i), fmt.Sprint("gate", i), Refused))
	}
	if len(h.evicted) > maxEvicted+1 || !h.evicted.After(b, "gate3000", "") {
		t.Errorf("%d are kept", len(h.evicted))
	}
}

func TestFollowersAreBounded(t *testing.T) {
	h := New(10)
	var leaves []func()
	for range maxFollowers {
		_, _, leave := h.Follow()
		leaves = append(leaves, leave)
	}
	if _, f, _ := h.Follow(); f != nil {
		t.Error("there is one too many")
	}
	leaves[0]()
	if _, f, _ := h.Follow(); f == nil {
		t.Error("one has left, and there is no room")
	}
}

// A reader that does not read keeps nobody waiting.
func TestSlowFollower(t *testing.T) {
	h := New(10)
	_, f, leave := h.Follow()
	defer leave()
	for i := range maxWaiting + 7 {
		h.Add(entry(fmt.Sprint(i), "a", Accepted))
	}
	if got := f.Dropped(); got != 7 || f.Dropped() != 0 {
		t.Errorf("dropped %d, and then %d", got, f.Dropped())
	}
}

func TestHistoryOff(t *testing.T) {
	h := New(10)
	h.Add(entry("1", "a", Accepted))
	h.SetLimit(0)
	h.Add(entry("2", "a", Accepted))
	if len(h.All()) != 0 || h.bytes != 0 || len(h.queues) != 0 || len(h.longest) != 0 {
		t.Errorf("kept %d entries, %d bytes, %d queues", len(h.All()), h.bytes, len(h.queues))
	}
	h.SetLimit(1)
	h.Add(entry("3", "a", Accepted))
	if got := ids(h.All()); got != "3" {
		t.Errorf("kept %s", got)
	}
}

// Texts are parts of a header section of 15 KiB each, which must not be kept alive.
func TestHistoryIsBounded(t *testing.T) {
	h := New(MaxEntries + 1)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range 3 * MaxEntries {
		section := strings.Repeat("x", 15<<10)
		h.Add(&Entry{
			ID: fmt.Sprint(i), Gate: fmt.Sprint("g", i%7), Class: Class(i % 4),
			Method: section, Host: section[1:], Path: section[2:], Client: section[3:], UserAgent: section[4:], ContentType: section[5:],
			Hint: strings.Clone(section[:300]),
		})
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if h.entries > MaxEntries || h.bytes > MaxBytes {
		t.Errorf("%d entries, %d bytes", h.entries, h.bytes)
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > MaxBytes+MaxBytes/2 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	runtime.KeepAlive(h)
}

// After anything that can happen, the index, the queues and the counts say the same.
func TestHistoryAgrees(t *testing.T) {
	h, random := New(50), rand.New(rand.NewPCG(1, 2))
	for i := range 20_000 {
		switch random.IntN(20) {
		case 0:
			h.SetLimit(random.IntN(60))
		case 1:
			h.Diagnose(fmt.Sprint(i-random.IntN(30)), "d", strings.Repeat("h", random.IntN(100)))
		default:
			h.Add(entry(fmt.Sprint(i), fmt.Sprint(random.IntN(5)), Class(random.IntN(4))))
		}
		h.agrees(t)
	}
}

func (h *History) agrees(t *testing.T) {
	t.Helper()
	n, bytes := 0, 0
	for i, q := range h.longest {
		if h.queues[q.key] != q || q.place != i || q.length == 0 || q.length > h.longest[0].length {
			t.Fatalf("queue %v is at %d, or empty, or longer than the first", q.key, i)
		}
		for place := q.oldest; place != nil; place = place.next {
			e := place.entry
			n, bytes = n+1, bytes+e.bytes
			if h.byID[e.ID] != place {
				t.Fatalf("%s is not where the index says", e.ID)
			}
		}
	}
	if n != h.entries || bytes != h.bytes || n != len(h.byID) || n > h.limit || len(h.queues) != len(h.longest) {
		t.Fatalf("%d entries, counted %d, indexed %d, at most %d; %d bytes, counted %d", n, h.entries, len(h.byID), h.limit, bytes, h.bytes)
	}
}

func TestHistoryUnderLoad(t *testing.T) {
	h := New(100)
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			for i := range 2_000 {
				h.Add(entry(fmt.Sprint(worker, "-", i), "a", Accepted))
				h.Diagnose(fmt.Sprint(worker, "-", i/2), "d", "h")
			}
		})
		all.Go(func() {
			_, f, leave := h.Follow()
			defer leave()
			for range 100 {
				<-f.Entries
				_ = ids(h.All())
			}
		})
	}
	all.Wait()
	h.agrees(t)
}

func BenchmarkAdd(b *testing.B) {
	h := New(1000)
	section := strings.Repeat("x", 400)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		h.Add(&Entry{ID: fmt.Sprint(i), Gate: "a", Method: "POST", Host: section[:20], Path: section[:30], UserAgent: section[:60]})
	}
}
