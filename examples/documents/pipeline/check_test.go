package pipeline_test

import (
	"strings"
	"testing"

	"github.com/durable-go/durable/examples/documents/pipeline"
)

func units(n int64) pipeline.Decimal { return pipeline.Decimal(n * 10_000) }

func TestInvoiceCheck(t *testing.T) {
	good := func() pipeline.Invoice {
		return pipeline.Invoice{
			Lines: []pipeline.Line{
				{Description: "oats", Quantity: units(3), UnitPrice: units(100), Amount: 300_00},
				{Description: "travel", Amount: 100_00},
			},
			Net: 400_00, TaxRate: units(20), Tax: 80_00, Total: 480_00,
		}
	}
	for name, c := range map[string]struct {
		change func(*pipeline.Invoice)
		want   string // part of the only problem; empty: none
	}{
		"all adds up":             {func(*pipeline.Invoice) {}, ""},
		"a line's product":        {func(i *pipeline.Invoice) { i.Lines[0].UnitPrice = units(99) }, "line 1 (oats): 3 × 99 is 297.00, not 300.00"},
		"percent off a line":      {func(i *pipeline.Invoice) { i.Lines[0].UnitPrice, i.Lines[0].Discount = units(200), units(50) }, ""},
		"the sum of the lines":    {func(i *pipeline.Invoice) { i.Lines[1].Amount = 10_00 }, "the lines add up to 310.00, not to 400.00"},
		"the total":               {func(i *pipeline.Invoice) { i.Total = 490_00 }, "net 400.00 and tax 80.00 make 480.00, not 490.00"},
		"the rate":                {func(i *pipeline.Invoice) { i.TaxRate = units(19) }, "19% tax on 400.00 is 76.00, not 80.00"},
		"no lines":                {func(i *pipeline.Invoice) { i.Lines = nil }, "no line items"},
		"no total":                {func(i *pipeline.Invoice) { i.Total = 0 }, "no total"},
		"a discount":              {func(i *pipeline.Invoice) { i.Discount, i.Net, i.Tax, i.Total = 40_00, 360_00, 72_00, 432_00 }, ""},
		"prices with tax inside":  {func(i *pipeline.Invoice) { i.Net, i.TaxRate, i.Tax, i.Total = 0, 0, 66_67, 400_00 }, ""},
		"no tax, no net":          {func(i *pipeline.Invoice) { i.Net, i.TaxRate, i.Tax, i.Total = 0, 0, 0, 400_00 }, ""},
		"a cent of rounding":      {func(i *pipeline.Invoice) { i.Tax, i.Total = 80_01, 480_01 }, ""},
		"a product beyond limits": {func(i *pipeline.Invoice) { i.Lines[0].Quantity = 1 << 62; i.Lines[0].UnitPrice = 1 << 62 }, "line 1"},
	} {
		inv := good()
		c.change(&inv)
		got := inv.Check()
		if c.want == "" && len(got) != 0 || c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if got := (pipeline.Invoice{}).Check(); len(got) != 2 {
		t.Errorf("an empty invoice has the problems %q", got)
	}
}

func TestContractCheck(t *testing.T) {
	full := pipeline.Contract{Title: "LEASE", Parties: make([]pipeline.Party, 2), Effective: "2025-01-01"}
	if got := full.Check(); len(got) != 0 {
		t.Errorf("a full contract has the problems %q", got)
	}
	if got := (pipeline.Contract{}).Check(); len(got) != 3 {
		t.Errorf("an empty contract has the problems %q", got)
	}
}
