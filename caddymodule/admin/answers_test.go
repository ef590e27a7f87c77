package admin_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/edgegate/edgegate/caddymodule/audit"
	"github.com/edgegate/edgegate/caddymodule/events"
	"github.com/edgegate/edgegate/caddymodule/gateway"
	"github.com/edgegate/edgegate/caddymodule/health"
	"github.com/edgegate/edgegate/ratelimit/billing"
	"github.com/edgegate/edgegate/ratelimit/invocations"
	"github.com/edgegate/edgegate/routing/plan"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata/answers")

// Answers of the admin API are a contract: scripts and dashboards read them. Each golden file has the JSON of an answer
// with a value in every field, and of one with none, so that a field that is renamed, moved, dropped or given another
// type fails here.
func TestAnswersKeepTheirJSON(t *testing.T) {
	for name, answer := range map[string]any{
		"adjust":         new(billing.AdjustAnswer),
		"adjust_order":   new(billing.AdjustOrder),
		"audit":          new(audit.Answer),
		"bill":           new(billing.BillAnswer),
		"drain":          new(gateway.DrainAnswer),
		"drain_order":    new(gateway.DrainOrder),
		"drains":         new(gateway.DrainsAnswer),
		"events":         new(events.Answer),
		"explain":        new(plan.Explanation),
		"gateway_drain":  new(health.Status),
		"gateway_order":  new(health.Order),
		"health":         new(health.Answer),
		"exporters":      new(billing.ExportersAnswer),
		"invocations":    new(invocations.Answer),
		"projects":       new(gateway.ProjectsAnswer),
		"proof":          new(billing.ProofAnswer),
		"push_order":     new(billing.PushOrder),
		"quota":          new(billing.QuotaAnswer),
		"quota_order":    new(billing.QuotaOrder),
		"reconcile":      new(billing.ReconcileAnswer),
		"regions":        new(gateway.RegionsAnswer),
		"status":         new(gateway.Status),
		"token":          new(gateway.TokenAnswer),
		"token_question": new(gateway.TokenQuestion),
		"top":            new(invocations.TopAnswer),
		"usage":          new(billing.UsageAnswer),
	} {
		t.Run(name, func(t *testing.T) {
			empty := indented(t, answer)
			fill(reflect.ValueOf(answer).Elem())
			got := append(append(indented(t, answer), "\n"...), empty...)
			path := filepath.Join("testdata", "answers", name+".json")
			if *update {
				if err := os.WriteFile(path, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("the JSON of the answer is not that of %s any more:\n%s", path, got)
			}
		})
	}
}

func indented(t *testing.T, value any) []byte {
	t.Helper()
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(text, '\n')
}

// fill gives every field below v that JSON shows a value other than its zero value.
func fill(v reflect.Value) {
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(time.Date(2026, 11, 5, 18, 30, 0, 0, time.UTC)))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() || f.Anonymous {
				fill(v.Field(i))
			}
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key)
		fill(value)
		v.SetMapIndex(key, value)
	case reflect.Interface:
		v.Set(reflect.ValueOf("any"))
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Float32, reflect.Float64:
		v.SetFloat(1.5)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(7)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(7)
	default:
		panic("an answer has a field of kind " + v.Kind().String())
	}
}
