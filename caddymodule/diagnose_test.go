package caddymodule_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestDiagnosisDecidesNothing: of all that runs for a request, only files that
// report know diagnosis, and what they do with it returns nothing that could be
// taken for a verdict. That what decides does not know it at all is the linter's to hold.
func TestDiagnosisDecidesNothing(t *testing.T) {
	const diagnosis = "github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/diagnosis"
	mayKnow := []string{"app.go", "material.go", "metrics.go", "diagnose.go", "report.go"}
	for _, name := range sources(t) {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		if imports(file, diagnosis) && !slices.Contains(mayKnow, name) {
			t.Errorf("%s imports diagnosis", name)
		}
		if name == "diagnose.go" || name == "report.go" {
			wantNoVerdicts(t, name, file)
		}
	}
}

func sources(t *testing.T) (names []string) {
	t.Helper()
	all, err := filepath.Glob("*.go")
	if err != nil || len(all) == 0 {
		t.Fatal("no sources")
	}
	return slices.DeleteFunc(all, func(name string) bool { return strings.HasSuffix(name, "_test.go") })
}

func imports(file *ast.File, path string) bool {
	return slices.ContainsFunc(file.Imports, func(spec *ast.ImportSpec) bool { return spec.Path.Value == `"`+path+`"` })
}

// wantNoVerdicts: a bool, an error or a Match could reach the accepting path, and so
// could a verdict that is not a copy.
func wantNoVerdicts(t *testing.T, name string, file *ast.File) {
	t.Helper()
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		for _, param := range f.Type.Params.List {
			if star, ok := param.Type.(*ast.StarExpr); ok && types.ExprString(star.X) == "verdict" {
				t.Errorf("%s: %s could change the verdict", name, f.Name.Name)
			}
		}
		if f.Type.Results == nil {
			continue
		}
		for _, result := range f.Type.Results.List {
			var kind string
			switch r := result.Type.(type) {
			case *ast.Ident:
				kind = r.Name
			case *ast.SelectorExpr:
				kind = r.Sel.Name
			}
			if slices.Contains([]string{"bool", "error", "Match", "Refusal"}, kind) {
				t.Errorf("%s: %s returns a %s", name, f.Name.Name, kind)
			}
		}
	}
}
