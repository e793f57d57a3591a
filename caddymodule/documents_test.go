package caddymodule_test

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// documents are what stands beside the code for people to read.
var documents = []string{"README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md"}

// Every link leads somewhere: to a heading, to a file, to a heading of a file.
func TestDocumentLinks(t *testing.T) {
	for _, document := range documents {
		text := readDocument(t, document)
		links := regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(text, -1)
		if len(links) == 0 {
			t.Errorf("%s has no links", document)
		}
		for _, link := range links {
			target, anchor, _ := strings.Cut(link[1], "#")
			switch {
			case strings.HasPrefix(target, "https://"):
				continue
			case target == "":
				target = document
			}
			if _, err := os.Stat(filepath.Join("..", target)); err != nil {
				t.Errorf("%s: %v", document, err)
			} else if anchor != "" && !slices.Contains(anchors(readDocument(t, target)), anchor) {
				t.Errorf("%s: %s has no heading for #%s", document, target, anchor)
			}
		}
	}
}

// TestDocumentHeadings: what was left over from editing shows as a heading, or as
// a mark.
func TestDocumentHeadings(t *testing.T) {
	leftOver := regexp.MustCompile(`(?m)^#+ .*".*$|-->$|^[<>=]{7}.*$`)
	for _, name := range documents {
		for _, line := range leftOver.FindAllString(readDocument(t, name), -1) {
			t.Errorf("%s: %s", name, line)
		}
	}
}

// anchors returns what GitHub calls the headings of a document.
func anchors(text string) (anchors []string) {
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(text, -1) {
		slug := regexp.MustCompile(`[^\w\- ]`).ReplaceAllString(strings.ToLower(heading[1]), "")
		anchors = append(anchors, strings.ReplaceAll(slug, " ", "-"))
	}
	return anchors
}

// What a document calls a test is one. A guarantee without a test is a wish.
func TestSecurityNamesTests(t *testing.T) {
	tests := declaredTests(t)
	name := regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark|Example)[A-Z]\w*`)
	for _, document := range documents {
		for _, named := range name.FindAllString(readDocument(t, document), -1) {
			if !tests[named] {
				t.Errorf("%s: there is no %s", document, named)
			}
		}
	}
	_, table, found := strings.Cut(readDocument(t, "SECURITY.md"), "\n## Guarantees\n")
	rows := regexp.MustCompile(`(?m)^\| .*\|$`).FindAllString(table, -1)
	if !found || len(rows) < 10 {
		t.Fatal("SECURITY.md has no table of guarantees")
	}
	for _, row := range rows[1:] {
		cells := strings.Split(row, "|")
		if !strings.Contains(cells[2], ".go)") && !strings.Contains(cells[2], ".golangci.yml") {
			t.Errorf("on no file rests %s", cells[1])
		}
		if !name.MatchString(cells[3]) {
			t.Errorf("no test holds %s", cells[1])
		}
	}
}

// The nightly job searches with every target there is, each in its package.
func TestNightlyFuzzTargets(t *testing.T) {
	listed := regexp.MustCompile(`\{ package: (\S+), target: (Fuzz\w+) \}`).
		FindAllStringSubmatch(readDocument(t, ".github/workflows/nightly.yml"), -1)
	got := make(map[string]string)
	for _, row := range listed {
		got[row[2]] = row[1]
	}
	want := make(map[string]string)
	eachTestFile(t, func(path, text string) {
		for _, target := range regexp.MustCompile(`(?m)^func (Fuzz\w+)\(`).FindAllStringSubmatch(text, -1) {
			want[target[1]] = "./" + filepath.ToSlash(filepath.Dir(path))
		}
	})
	if len(want) == 0 || !maps.Equal(got, want) {
		t.Errorf("nightly.yml has\n%v\nand the sources\n%v", got, want)
	}
}

// A path of the machine that something was written on means nothing to its reader.
func TestDocumentsNameNoMachine(t *testing.T) {
	machine := regexp.MustCompile(`(?:^|[^\w./}-])/(?:home|root|Users|work|tmp)/\S*`)
	for _, document := range documents {
		for _, path := range machine.FindAllString(readDocument(t, document), -1) {
			t.Errorf("%s names %q", document, path)
		}
	}
}

// declaredTests are the names of all that `go test` can run.
func declaredTests(t *testing.T) map[string]bool {
	t.Helper()
	tests := make(map[string]bool)
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark|Example)\w*)\(`)
	eachTestFile(t, func(_, text string) {
		for _, match := range declared.FindAllStringSubmatch(text, -1) {
			tests[match[1]] = true
		}
	})
	return tests
}

// eachTestFile calls do with the path, from the top of the repository, and the text
// of each test file.
func eachTestFile(t *testing.T, do func(path, text string)) {
	t.Helper()
	repository := os.DirFS("..")
	err := fs.WalkDir(repository, ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := fs.ReadFile(repository, path)
		do(path, string(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func readDocument(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(text), "\r\n", "\n")
}
