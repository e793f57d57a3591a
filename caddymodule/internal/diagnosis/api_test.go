package diagnosis_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"slices"
	"strings"
	"testing"
)

// Nothing that is exported returns, holds or takes a verdict. Only words come out.
func TestNothingComesOutThatAccepts(t *testing.T) {
	results := []string{"Finding", "*Gate", "[]Diagnosis", "[]string"}
	held := []string{"Diagnosis", "string"}
	functions := 0
	for _, file := range sources(t) {
		for _, decl := range file.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if !exported(d) {
					continue
				}
				functions++
				within(t, d.Name.Name, d.Type.Results, results)
				notFunctions(t, d)
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					checkSpec(t, spec, held)
				}
			}
		}
	}
	if functions != 9 {
		t.Errorf("%d exported functions, want 9: look at the new ones", functions)
	}
}

func sources(t *testing.T) []*ast.File {
	t.Helper()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".go") && !strings.HasSuffix(e.Name(), "_test.go") {
			file, err := parser.ParseFile(token.NewFileSet(), e.Name(), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, file)
		}
	}
	return files
}

// exported reports whether a function or method can be called from outside.
func exported(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return d.Name.IsExported()
	}
	receiver := strings.TrimPrefix(types.ExprString(d.Recv.List[0].Type), "*")
	return d.Name.IsExported() && ast.IsExported(receiver)
}

func within(t *testing.T, what string, fields *ast.FieldList, allowed []string) {
	t.Helper()
	for _, field := range fields.List {
		if got := types.ExprString(field.Type); !slices.Contains(allowed, got) {
			t.Errorf("%s: %s is not one of %q", what, got, allowed)
		}
	}
}

// notFunctions keeps a verdict from leaving through a callback.
func notFunctions(t *testing.T, d *ast.FuncDecl) {
	t.Helper()
	for _, field := range d.Type.Params.List {
		if _, ok := field.Type.(*ast.FuncType); ok {
			t.Errorf("%s takes a function", d.Name.Name)
		}
	}
}

func checkSpec(t *testing.T, spec ast.Spec, held []string) {
	t.Helper()
	switch s := spec.(type) {
	case *ast.TypeSpec:
		fields, ok := s.Type.(*ast.StructType)
		if !ok || !s.Name.IsExported() {
			return
		}
		for _, field := range fields.Fields.List {
			exported := len(field.Names) == 0 || slices.ContainsFunc(field.Names, (*ast.Ident).IsExported)
			if got := types.ExprString(field.Type); exported && !slices.Contains(held, got) {
				t.Errorf("%s holds a %s", s.Name.Name, got)
			}
		}
	case *ast.ValueSpec:
		for _, name := range s.Names {
			if got := name.Name; name.IsExported() && s.Type != nil && types.ExprString(s.Type) != "Diagnosis" || got == "Accepted" {
				t.Errorf("%s is exported", got)
			}
		}
	}
}
