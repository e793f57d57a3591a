package caddymodule_test

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// documents returns what people read: the files at the top, and every page of docs/.
func documents(t *testing.T) []string {
	t.Helper()
	pages, err := fs.Glob(os.DirFS(".."), "docs/*.md")
	if err != nil || len(pages) < 10 {
		t.Fatalf("pages: %q, %v", pages, err)
	}
	return append([]string{"README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md"}, pages...)
}

// Every link leads somewhere: to a heading, to a file, to a heading of a file.
func TestDocumentLinks(t *testing.T) {
	for _, document := range documents(t) {
		text := readDocument(t, document)
		links := regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(text, -1)
		if len(links) == 0 {
			t.Errorf("%s has no links", document)
		}
		for _, link := range links {
			if err := followLink(t, document, link[1]); err != nil {
				t.Errorf("%s: %s: %v", document, link[1], err)
			}
		}
	}
}

// followLink says why a link in a document leads nowhere.
func followLink(t *testing.T, document, link string) error {
	t.Helper()
	target, fragment, _ := strings.Cut(link, "#")
	switch {
	case strings.HasPrefix(target, "https://"):
		return nil
	case target == "":
		target = document
	default:
		target = path.Join(path.Dir(document), target)
	}
	if _, err := os.Stat(filepath.Join("..", target)); err != nil {
		return err
	}
	if fragment != "" && !slices.Contains(anchors(t, target), fragment) {
		return errors.New("no such heading")
	}
	return nil
}

// A heading that appears twice has two anchors, and the second moves when the
// first is edited.
func TestDocumentAnchorsAreUnique(t *testing.T) {
	for _, document := range documents(t) {
		all := anchors(t, document)
		slices.Sort(all)
		if unique := slices.Compact(slices.Clone(all)); document != "CHANGELOG.md" && len(unique) != len(all) {
			t.Errorf("%s: a heading appears twice: %q", document, all)
		}
	}
}

// TestDocumentHeadings: what was left over from editing shows as a heading, or as
// a mark.
func TestDocumentHeadings(t *testing.T) {
	leftOver := regexp.MustCompile(`(?m)^#+ .*".*$|-->$|^[<>=]{7}.*$`)
	for _, name := range documents(t) {
		for _, line := range leftOver.FindAllString(readDocument(t, name), -1) {
			t.Errorf("%s: %s", name, line)
		}
	}
}

// anchors returns what GitHub calls the headings of a document, in its order.
func anchors(t *testing.T, document string) (anchors []string) {
	t.Helper()
	text := readDocument(t, document)
	for _, b := range fencedBlocks(t, document) { // `# comment` in one is no heading
		text = strings.Replace(text, b.text, "", 1)
	}
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(text, -1) {
		anchors = append(anchors, anchor(heading[1]))
	}
	return anchors
}

func anchor(heading string) string {
	slug := regexp.MustCompile(`[^\w\- ]`).ReplaceAllString(strings.ToLower(heading), "")
	return strings.ReplaceAll(slug, " ", "-")
}

// A fencedBlock is the text between two fences of a document, and where it begins.
type fencedBlock struct {
	language, text string
	line           int
}

func fencedBlocks(t *testing.T, document string) (blocks []fencedBlock) {
	t.Helper()
	var open *fencedBlock
	for i, line := range strings.Split(readDocument(t, document), "\n") {
		language, isFence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case isFence && open == nil:
			open = &fencedBlock{language: language, line: i + 1}
		case isFence:
			blocks = append(blocks, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		}
	}
	if open != nil {
		t.Fatalf("%s: the block in line %d has no end", document, open.line)
	}
	return blocks
}

// What a page quotes from deploy/ is what the file holds, byte for byte: a link to
// the file, a colon, and the block.
func TestDocumentQuotesFiles(t *testing.T) {
	quote := regexp.MustCompile("\\]\\(\\.\\./(deploy/[^)#]+)\\)[^\n]*:\n\n```\\w*\n((?s:.*?\n))```\n")
	quoted := make(map[string]bool)
	for _, document := range documents(t) {
		for _, match := range quote.FindAllStringSubmatch(readDocument(t, document), -1) {
			quoted[match[1]] = true
			if file := readDocument(t, match[1]); !strings.Contains("\n"+file, "\n"+match[2]) {
				t.Errorf("%s: this is not in %s:\n%s", document, match[1], match[2])
			}
		}
	}
	files, err := fs.Glob(os.DirFS(".."), "deploy/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if info, err := os.Stat(filepath.Join("..", file)); err != nil || info.Mode().IsRegular() && !quoted[file] {
			t.Errorf("no page quotes %s (%v)", file, err)
		}
	}
}

// What a document calls a test is one. A guarantee without a test is a wish.
func TestSecurityNamesTests(t *testing.T) {
	tests := declaredTests(t)
	name := regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark|Example)[A-Z]\w*`)
	for _, document := range documents(t) {
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
	for _, document := range documents(t) {
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
