package caddymodule_test

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// comparisons are the places where bytes may be compared in constant time: the
// digest of a delivery, a token, and the verify token of a challenge.
var comparisons = []string{
	"internal/signature/challengeforms.go: sameText", "internal/signature/signature.go: matches", "internal/signature/token.go: holds",
}

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
	"capture.go: slices.Equal",                                // of the names of fields
	"internal/command/inspect.go: subtle.ConstantTimeCompare", // of the token in a page's address
	"internal/diagnosis/json.go: bytes.Equal",                 // of two ways to write a character
	"internal/lint/lint.go: reflect.DeepEqual",                // of findings
	"internal/lint/routes.go: reflect.DeepEqual",              // of matchers
	"internal/signature/der.go: bytes.Compare",                // of a number with the order of a curve
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

// mayCompare are the functions of the package that decides in which bytes meet.
var mayCompare = []string{
	"matches", "sameText", "holds", // the comparisons in constant time
	"verifyEd25519", "ecdsaOver", // with a public key, which hides nothing
	"lessLittle", "inOrder", // whether a number of a signature is in its range
	"splitDER", "cutNumber", // the form of a signature
	"checkEd25519", "parseCoded", "isCompressed", "barePoint", // of the configuration: a public key
	"crc", "linkedIn", "zoom", // answers with a digest, as text
	"KeyIDs",              // of the configuration: which gates have the same key
	"written",             // of the configuration: a token as the field has it
	"Forgeable", "object", // of a check's body, before anything was verified
}

// TestNoOtherComparison: in the package that decides, nothing else compares bytes,
// whatever they are called and whatever compares them: an operator, a key of a map,
// a switch, a function of the standard library. Nor does anything make text of
// bytes, which could be compared unseen. It goes by types: a digest is bytes.
func TestNoOtherComparison(t *testing.T) {
	const folder = "internal/signature"
	files, info := typed(t, folder)
	seen := make(map[string]bool)
	for _, file := range files {
		for _, decl := range file.Decls {
			ast.Inspect(decl, func(n ast.Node) bool {
				what := comparison(info, n)
				switch name := declName(decl); {
				case what == "":
				case slices.Contains(mayCompare, name):
					seen[name] = true
				default:
					t.Errorf("%s: %s: %s", folder, name, what)
				}
				return true
			})
		}
	}
	if len(seen) != len(mayCompare) {
		t.Errorf("of %q only %v compare", mayCompare, seen)
	}
}

// TestAllTokensAreCompared: the loop over the tokens has no way out, and nothing in front of
// the comparison decides whether it is made.
func TestAllTokensAreCompared(t *testing.T) {
	loops := 0
	for _, decl := range productionFiles(t)["internal/signature/token.go"].Decls {
		if declName(decl) != "findToken" {
			continue
		}
		ast.Inspect(decl, func(n ast.Node) bool {
			loop, ok := n.(*ast.RangeStmt)
			if !ok {
				return true
			}
			loops++
			condition, _ := loop.Body.List[0].(*ast.IfStmt)
			both, ok := condition.Cond.(*ast.BinaryExpr)
			if _, function := calledFunction(both.X); !ok || function != "holds" {
				t.Error("the comparison is not the first thing in the loop")
			}
			ast.Inspect(loop.Body, func(n ast.Node) bool {
				switch n.(type) {
				case *ast.BranchStmt, *ast.ReturnStmt:
					t.Error("the loop ends early")
				}
				return true
			})
			return true
		})
	}
	if loops != 1 {
		t.Errorf("%d loops over the tokens", loops)
	}
}

// typed parses and type-checks a package, with what the build made of its imports.
func typed(t *testing.T, folder string) ([]*ast.File, *types.Info) {
	t.Helper()
	list, err := exec.CommandContext(t.Context(), "go", "list", "-export", "-deps", "-f", "{{.ImportPath}}={{.Export}}", "./"+folder).Output()
	if err != nil {
		t.Fatal(err)
	}
	exports := make(map[string]string)
	for line := range strings.Lines(string(list)) {
		path, export, _ := strings.Cut(strings.TrimSpace(line), "=")
		exports[path] = export
	}
	set := token.NewFileSet()
	var files []*ast.File
	names, _ := filepath.Glob(filepath.Join(folder, "*.go"))
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(set, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	info := &types.Info{Types: make(map[ast.Expr]types.TypeAndValue), Uses: make(map[*ast.Ident]types.Object)}
	imports := importer.ForCompiler(set, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	if _, err := (&types.Config{Importer: imports}).Check(folder, set, files, info); err != nil {
		t.Fatal(err)
	}
	return files, info
}

// comparison says how n compares bytes, or makes them comparable.
func comparison(info *types.Info, n ast.Node) string {
	bytes := func(e ast.Expr) bool { return isBytes(info.TypeOf(e)) }
	element := func(e ast.Expr) bool {
		index, ok := ast.Unparen(e).(*ast.IndexExpr)
		return ok && bytes(index.X)
	}
	switch n := n.(type) {
	case *ast.BinaryExpr:
		if slices.Contains([]token.Token{token.EQL, token.NEQ, token.XOR}, n.Op) && !info.Types[n.Y].IsNil() &&
			(bytes(n.X) || bytes(n.Y) || element(n.X) || element(n.Y)) {
			return types.ExprString(n)
		}
	case *ast.IndexExpr:
		if bytes(n.Index) {
			return types.ExprString(n)
		}
	case *ast.SwitchStmt:
		if n.Tag != nil && (bytes(n.Tag) || element(n.Tag)) {
			return "switch " + types.ExprString(n.Tag)
		}
	case *ast.CallExpr:
		if slices.ContainsFunc(n.Args, bytes) && tells(info, n) {
			return types.ExprString(n)
		}
	}
	return ""
}

// isBytes reports whether a value of a type holds bytes, itself or in a field.
func isBytes(of types.Type) bool {
	if of == nil {
		return false
	}
	switch of := of.Underlying().(type) {
	case *types.Slice:
		return isByte(of.Elem())
	case *types.Array:
		return isByte(of.Elem()) || isBytes(of.Elem())
	case *types.Struct:
		for field := range of.Fields() {
			if _, isSlice := field.Type().Underlying().(*types.Slice); !isSlice && isBytes(field.Type()) {
				return true
			}
		}
	}
	return false
}

func isByte(of types.Type) bool {
	basic, ok := of.Underlying().(*types.Basic)
	return ok && basic.Kind() == types.Uint8
}

// tells reports whether a call's result says something of the bytes that it gets: a
// conversion to text, or a function from elsewhere that returns text, a number or a
// yes or no.
func tells(info *types.Info, call *ast.CallExpr) bool {
	result, ok := info.TypeOf(call).(*types.Basic)
	if info.Types[call.Fun].IsType() {
		return ok && result.Kind() == types.String
	}
	var callee *ast.Ident
	switch f := ast.Unparen(call.Fun).(type) {
	case *ast.Ident:
		callee = f
	case *ast.SelectorExpr:
		callee = f.Sel
	default:
		return false
	}
	function, isFunction := info.Uses[callee].(*types.Func)
	return ok && isFunction && function.Pkg() != nil && !strings.HasSuffix(function.Pkg().Path(), "internal/signature")
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
