package caddymodule_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// comparisons are the places where bytes may be compared in constant time: the
// digest of a delivery, and the verify token of a challenge.
var comparisons = []string{"internal/signature/challenge.go: sameText", "internal/signature/signature.go: matches"}

// shortcuts compare bytes and end at the first difference, or are hmac.Equal by
// another name.
var shortcuts = map[string][]string{
	"bytes":   {"Equal", "Compare", "EqualFold"},
	"slices":  {"Equal", "Compare", "EqualFunc", "CompareFunc"},
	"reflect": {"DeepEqual"},
	"subtle":  {"ConstantTimeCompare", "ConstantTimeEq", "ConstantTimeByteEq", "XORBytes"},
}

// harmless are the uses of shortcuts that compare no digest.
var harmless = []string{
	"internal/diagnosis/json.go: bytes.Equal", // of two ways to write a character
	"lint.go: reflect.DeepEqual",              // of findings
	"routes.go: reflect.DeepEqual",            // of matchers
}

// TestOneComparison: hmac.Equal decides in one place, and nothing else that runs in
// production compares bytes where a digest could be among them.
func TestOneComparison(t *testing.T) {
	var constantTime []string
	for name, file := range productionFiles(t) {
		for _, decl := range file.Decls {
			where := name + ": " + declName(decl)
			ast.Inspect(decl, func(n ast.Node) bool {
				switch pkg, function := calledFunction(n); {
				case pkg == "hmac" && function == "Equal":
					constantTime = append(constantTime, where)
				case slices.Contains(shortcuts[pkg], function) && !slices.Contains(harmless, name+": "+pkg+"."+function):
					t.Errorf("%s calls %s.%s", where, pkg, function)
				}
				return true
			})
		}
	}
	slices.Sort(constantTime)
	if !slices.Equal(constantTime, comparisons) {
		t.Errorf("hmac.Equal is called in %q, want %q", constantTime, comparisons)
	}
}

// digestWords name what holds a digest in the packages that decide.
var digestWords = []string{"sum", "digest", "digests", "computed", "mac", "macs"}

// TestNoOtherComparison: what holds a digest is no operand of == or !=, also not as
// a string or an array, and no key of a map. It may be compared with nil.
func TestNoOtherComparison(t *testing.T) {
	for name, file := range productionFiles(t) {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.BinaryExpr:
				if (n.Op == token.EQL || n.Op == token.NEQ) && !isNil(n.Y) && (holdsDigest(n.X) || holdsDigest(n.Y)) {
					t.Errorf("%s compares a digest with %s", name, n.Op)
				}
			case *ast.IndexExpr:
				if holdsDigest(n.Index) {
					t.Errorf("%s looks up a digest", name)
				}
			case *ast.SwitchStmt:
				if n.Tag != nil && holdsDigest(n.Tag) {
					t.Errorf("%s switches on a digest", name)
				}
			}
			return true
		})
	}
}

// holdsDigest follows conversions, slices and indices down to a name, and knows a
// digest that was just made.
func holdsDigest(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return slices.Contains(digestWords, e.Name)
	case *ast.SelectorExpr:
		return slices.Contains(digestWords, e.Sel.Name)
	case *ast.IndexExpr:
		return holdsDigest(e.X)
	case *ast.SliceExpr:
		return holdsDigest(e.X)
	case *ast.ParenExpr:
		return holdsDigest(e.X)
	case *ast.StarExpr:
		return holdsDigest(e.X)
	case *ast.CallExpr:
		_, function := calledFunction(e)
		if slices.Contains([]string{"Sum", "Sum256", "Sum512", "sum"}, function) {
			return true
		}
		return !slices.Contains([]string{"len", "cap"}, function) && slices.ContainsFunc(e.Args, holdsDigest)
	}
	return false
}

func isNil(e ast.Expr) bool {
	name, ok := e.(*ast.Ident)
	return ok && name.Name == "nil"
}

// calledFunction returns the package, or the variable, and the name of a call.
func calledFunction(n ast.Node) (pkg, function string) {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return "", ""
	}
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return "", f.Name
	case *ast.SelectorExpr:
		if x, ok := f.X.(*ast.Ident); ok {
			return x.Name, f.Sel.Name
		}
		return "", f.Sel.Name
	}
	return "", ""
}

func declName(decl ast.Decl) string {
	if f, ok := decl.(*ast.FuncDecl); ok {
		return f.Name.Name
	}
	return "a declaration"
}

// productionFiles parses all of this folder that is no test, by its path.
func productionFiles(t *testing.T) map[string]*ast.File { return parsedFiles(t, false) }

func parsedFiles(t *testing.T, tests bool) map[string]*ast.File {
	t.Helper()
	files := make(map[string]*ast.File)
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") != tests {
			return err
		}
		files[filepath.ToSlash(path)], err = parser.ParseFile(token.NewFileSet(), path, nil, 0)
		return err
	})
	if err != nil || len(files) < 10 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	return files
}

// TestFuzzTargets: each target starts from seeds, and each corpus belongs to one and
// holds something: a folder that nobody reads would look like a proof.
func TestFuzzTargets(t *testing.T) {
	targets := make(map[string]bool) // the folders of their corpora
	for name, file := range parsedFiles(t, true) {
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Fuzz") {
				targets[filepath.Join(filepath.Dir(name), "testdata", "fuzz", f.Name.Name)] = true
				if !seeds(f) {
					t.Errorf("%s: %s has no seeds", name, f.Name.Name)
				}
			}
		}
	}
	if len(targets) < 5 {
		t.Errorf("there are only %d fuzz targets: %v", len(targets), targets)
	}
	for folder := range targets {
		if inputs, err := filepath.Glob(filepath.Join(folder, "*")); err != nil || len(inputs) == 0 {
			t.Errorf("%s is empty", folder)
		}
	}
	for _, folder := range corpora(t) {
		if !targets[folder] {
			t.Errorf("%s belongs to no target", folder)
		}
	}
}

// seeds reports whether a target calls Add.
func seeds(f *ast.FuncDecl) (found bool) {
	ast.Inspect(f, func(n ast.Node) bool {
		_, function := calledFunction(n)
		found = found || function == "Add"
		return !found
	})
	return found
}

// corpora returns the folders below each testdata/fuzz, and fails the test for an
// input that is empty or no corpus file.
func corpora(t *testing.T) (folders []string) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		dir := filepath.Dir(path)
		switch {
		case err != nil || !strings.Contains(filepath.ToSlash(dir), "testdata/fuzz"):
			return err
		case entry.IsDir():
			folders = append(folders, path)
			return nil
		}
		text, err := os.ReadFile(path)
		if !strings.HasPrefix(string(text), "go test fuzz v1\n") {
			t.Errorf("%s is no input", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return folders
}
