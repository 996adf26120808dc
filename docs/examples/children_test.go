package examples_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/durable-go/durable"
)

// Page is the state of the child, Book of the parent.
type (
	Page struct {
		Number int    `json:"number"`
		Text   string `json:"text,omitempty"`
	}
	Book struct {
		Pages    int                     `json:"pages"`
		Texts    []string                `json:"texts,omitempty"`
		Chapters []durable.Spawned[Page] `json:"chapters,omitempty"`
		Lengths  []int                   `json:"lengths,omitempty"`
	}
)

var readPage = durable.Define("read_page",
	durable.Step("read", func(_ context.Context, p *Page) error {
		if p.Number > 99 {
			return errors.New("there is no such page")
		}
		p.Text = fmt.Sprintf("text of page %d", p.Number)
		return nil
	}))

// [call]
func readFirst(ctx context.Context, b *Book) error {
	p, err := durable.Call(ctx, readPage, Page{Number: 1},
		durable.Timeout(time.Hour), durable.Tags("first"))
	if err != nil {
		return err
	}
	b.Texts = append(b.Texts, p.Text)
	return nil
}

// [/call]

// [failed]
func readLast(ctx context.Context, b *Book) error {
	_, err := durable.Call(ctx, readPage, Page{Number: b.Pages})
	var child *durable.ChildError
	switch {
	case errors.As(err, &child): // failed, cancelled, compensated, compensation_failed
		b.Texts = append(b.Texts, "page lost: "+child.Cause.Message)
		return nil
	case err != nil:
		return err
	}
	return nil
}

// [/failed]

func Example_call() {
	w := durable.Define("book", durable.Step("first", readFirst), durable.Step("last", readLast))
	engine := open(w, readPage)
	defer engine.Close()
	run, _ := w.Start(context.Background(), engine, Book{Pages: 100})
	b, err := run.Wait(context.Background())
	fmt.Println(b.Texts, err)
	// Output: [text of page 1 page lost: there is no such page] <nil>
}

// [spawn]
func begin(ctx context.Context, b *Book) error {
	for i := range b.Pages {
		child, err := durable.Spawn(ctx, readPage, Page{Number: i + 1})
		if err != nil {
			return err
		}
		b.Chapters = append(b.Chapters, child) // an id: it can be kept in the state
	}
	return nil
}

func collect(ctx context.Context, b *Book) error {
	for _, child := range b.Chapters { // they run side by side meanwhile
		p, err := durable.Await(ctx, child)
		if err != nil {
			return err
		}
		b.Texts = append(b.Texts, p.Text)
	}
	return nil
}

// [/spawn]

func Example_spawn() {
	w := durable.Define("book", durable.Step("begin", begin), durable.Step("collect", collect))
	ctx := context.Background()
	engine := open(w, readPage)
	defer engine.Close()
	run, _ := w.Start(ctx, engine, Book{Pages: 3})
	b, err := run.Wait(ctx)
	fmt.Println(b.Texts, err)
	// [list]
	page, err := engine.Executions(ctx, durable.Filter{Parent: run.ID}) // TopLevel: those without a parent
	// [/list]
	fmt.Println(len(page.Executions), err)
	// Output:
	// [text of page 1 text of page 2 text of page 3] <nil>
	// 3 <nil>
}

func Example_childNode() {
	w := durable.Define("book",
		// [node]
		durable.Child("cover", readPage,
			func(b *Book) Page { return Page{Number: 1} },
			func(b *Book, p Page) { b.Texts = append(b.Texts, p.Text) },
		).Timeout(time.Hour).OnTimeout(Page{Text: "no cover"}),
		// [/node]
	)
	engine := open(w, readPage)
	defer engine.Close()
	run, _ := w.Start(context.Background(), engine, Book{})
	b, err := run.Wait(context.Background())
	fmt.Println(b.Texts, err)
	// Output: [text of page 1] <nil>
}

// [recursion]
type Folder struct {
	Depth int `json:"depth"`
	Files int `json:"files,omitempty"`
}

var walk *durable.Workflow[Folder]

func init() { // a variable that is used in its own declaration does not compile
	walk = durable.Define("walk", durable.Step("walk", func(ctx context.Context, f *Folder) error {
		f.Files = 10
		if f.Depth == 0 {
			return nil
		}
		below, err := durable.Call(ctx, walk, Folder{Depth: f.Depth - 1})
		f.Files += below.Files
		return err
	}))
}

// [/recursion]

func Example_recursion() {
	f, err := execute(walk, Folder{Depth: 3})
	fmt.Println(f.Files, err)
	// Output: 40 <nil>
}

// [all]
func measure(ctx context.Context, b *Book) error {
	lengths, err := durable.All(ctx, "measure", b.Texts, func(ctx context.Context, text string) (int, error) {
		return len(text), nil // 16 at once; each result is recorded by itself
	})
	if err != nil {
		return err
	}
	b.Lengths = lengths // in the order of b.Texts
	return nil
}

// [/all]

func Example_all() {
	b, err := execute(durable.Define("book", durable.Step("measure", measure)), Book{Texts: []string{"a", "bc"}})
	fmt.Println(b.Lengths, err)
	// Output: [1 2] <nil>
}
