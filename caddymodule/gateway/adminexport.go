package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/edgegate/edgegate/ratelimit/billing"
	"github.com/edgegate/edgegate/ratelimit/usage"
)

// trailerTotals tells what an export adds up to, at its end.
const trailerTotals = "Edgegate-Totals"

// exportTypes are the media types of exports.
var exportTypes = map[usage.Format]string{
	usage.CSV: "text/csv; charset=utf-8", usage.FOCUS: "text/csv; charset=utf-8",
	usage.JSONL: "application/jsonl", usage.Parquet: "application/vnd.apache.parquet",
}

// billed is the book, up to date, and what a question asks of it.
func (a *App) billed(r *http.Request) (book *usage.LineStore, want func(organization, period string) bool, err error) {
	month, err := monthOf(r)
	if err != nil {
		return nil, nil, err
	}
	used, err := a.engine.Update(r.Context())
	if err != nil {
		return nil, nil, err
	}
	book, only := a.engine.Lines(), r.URL.Query().Get("organization")
	counted := make(map[string]bool)
	for k := range used {
		counted[k.Organization] = true
	}
	// Lines are there for longer than what was counted.
	for _, err := range book.Lines(func(organization, _ string) bool { return organization == only }) {
		if err != nil {
			return nil, nil, err
		}
		counted[only] = true
		break
	}
	if err := a.knownOrganization(only, counted); err != nil {
		return nil, nil, err
	}
	query := billing.Query{Organization: only, Month: month}
	now, cycles := a.engine.Ledger().Now(), a.engine.Cycles()
	return book, func(organization, id string) bool {
		p, cycle, ok := cycles.Named(organization, id)
		return ok && query.Wants(organization, p, cycle, now)
	}, nil
}

// export streams the lines of periods.
func (a *App) export(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	format := usage.Format(query.Get("format"))
	if !slices.Contains(usage.Formats(), string(format)) {
		return fmt.Errorf("format %q: allowed are %s", format, strings.Join(usage.Formats(), ", "))
	}
	focus := usage.FOCUSOptions{Version: query.Get("focus_version")}
	if names := query.Get("columns"); names != "" {
		focus.Columns = strings.Split(names, ",")
	}
	if err := focus.Validate(); err != nil {
		return err
	}
	book, want, err := a.billed(r)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", exportTypes[format])
	w.Header().Set("Trailer", trailerTotals)
	var totals usage.Totals
	if out := (&patientWriter{w, http.NewResponseController(w)}); format == usage.FOCUS {
		totals, err = usage.WriteFOCUS(out, focus, book.Charges(want))
	} else {
		totals, err = usage.Write(out, format, book.Lines(want))
	}
	if err != nil {
		a.logger.Error("an export ended early", zap.Error(err))
		panic(http.ErrAbortHandler) // the headers are gone: only a broken answer tells
	}
	text, err := json.Marshal(totals)
	w.Header().Set(trailerTotals, string(text))
	return err
}

// exportPatience is how long a client may take nothing. Lines are not kept up to
// date while it is waited for.
const exportPatience = 30 * time.Second

// patientWriter writes for as long as the client goes on reading.
type patientWriter struct {
	http.ResponseWriter
	controller *http.ResponseController
}

func (w *patientWriter) Write(p []byte) (int, error) {
	if err := w.controller.SetWriteDeadline(time.Now().Add(exportPatience)); err != nil {
		return 0, err
	}
	return w.ResponseWriter.Write(p)
}

// exportHandler is for answers that are no JSON.
func exportHandler(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet {
		return caddy.APIError{HTTPStatus: http.StatusMethodNotAllowed, Err: errors.New("only GET is allowed")}
	}
	app, err := Running()
	if err != nil {
		return err
	}
	if err := app.export(w, r); err != nil {
		return caddy.APIError{HTTPStatus: http.StatusBadRequest, Err: err}
	}
	return nil
}

// billAnswer is what `edgegate usage bill` shows.
type billAnswer struct {
	Organizations []organizationBill `json:"organizations"`
}

// organizationBill is what an organization has to pay for a period so far: in
// which another currency was set, there is one for each.
type organizationBill struct {
	ID          string       `json:"id"`
	Plan        string       `json:"plan"` // at the end; "" for none
	Period      periodAnswer `json:"period"`
	State       usage.State  `json:"state"`    // provisional as long as any line is
	Included    int64        `json:"included"` // -1: any number
	Invocations int64        `json:"invocations"`
	Over        int64        `json:"over"`
	Packages    int64        `json:"packages"`
	AmountMinor int64        `json:"amount_minor"`
	Amount      string       `json:"amount"` // amount_minor as a decimal number
	Currency    string       `json:"currency"`
}

// bill adds up what organizations have to pay.
func (a *App) bill(r *http.Request) (any, error) {
	book, want, err := a.billed(r)
	if err != nil {
		return nil, err
	}
	answer, periods := billAnswer{Organizations: []organizationBill{}}, a.engine.Cycles()
	for l, err := range book.Lines(want) {
		if err != nil {
			return nil, err
		}
		last := len(answer.Organizations) - 1
		if last < 0 || answer.Organizations[last].ID != l.AccountID || answer.Organizations[last].Period.ID != l.Period || answer.Organizations[last].Currency != l.Currency {
			p, _, _ := periods.Named(l.AccountID, l.Period)
			answer.Organizations = append(answer.Organizations, organizationBill{ID: l.AccountID, Period: period(p), State: usage.Final})
			last++
		}
		o := &answer.Organizations[last]
		o.Plan, o.Included, o.Currency = l.Plan, l.Included, l.Currency
		o.Invocations += l.Quantity
		o.Over += l.OverageQuantity
		o.Packages += l.Packages
		o.AmountMinor += l.AmountMinor
		o.Amount = usage.Decimal(o.AmountMinor, o.Currency)
		if l.State == usage.Provisional {
			o.State = usage.Provisional
		}
	}
	return answer, nil
}
