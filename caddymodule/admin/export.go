package admin

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/edgegate/edgegate/caddymodule/gateway"
	"github.com/edgegate/edgegate/ratelimit/billing"
	"github.com/edgegate/edgegate/ratelimit/usage"
)

// exportTypes are the media types of exports.
var exportTypes = map[usage.Format]string{
	usage.CSV:     "text/csv; charset=utf-8",
	usage.FOCUS:   "text/csv; charset=utf-8",
	usage.JSONL:   "application/jsonl",
	usage.Parquet: "application/vnd.apache.parquet",
}

// exportLines streams line items in the format ?format=; for FOCUS with ?focus_version= and
// ?columns=.
func exportLines(app *gateway.App, w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	format := billing.ExportFormat{
		Format: usage.Format(query.Get("format")),
		FOCUS:  usage.FOCUSOptions{Version: query.Get("focus_version")},
	}
	if names := query.Get("columns"); names != "" {
		format.FOCUS.Columns = strings.Split(names, ",")
	}
	if err := format.Validate(); err != nil {
		return err
	}
	q, err := billingQuery(r)
	if err != nil {
		return err
	}
	lines, err := app.Engine().Select(r.Context(), q)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", exportTypes[format.Format])
	w.Header().Set("Trailer", gateway.TotalsTrailer)
	totals, err := lines.Write(&patientWriter{w, http.NewResponseController(w)}, format)
	if err != nil {
		app.Logger().Error("export of line items broken off", zap.Error(err))
		panic(http.ErrAbortHandler) // the headers are gone: only a broken answer tells
	}
	text, err := json.Marshal(totals)
	w.Header().Set(gateway.TotalsTrailer, string(text))
	return err
}

// exportPatience bounds how long an export waits for a client that reads nothing.
// Line items are not updated
// while they are written.
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

// exportParameters are the query parameters of exports.
var exportParameters = []string{"format", "focus_version", "columns", "period", "organization"}

// export is the endpoint of exports, whose answers are not JSON.
func export(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet {
		return refuseMethod(w, http.MethodGet)
	}
	if err := checkParameters(r, exportParameters); err != nil {
		return caddy.APIError{HTTPStatus: http.StatusBadRequest, Err: err}
	}
	app, err := gateway.Running()
	if err != nil {
		return err
	}
	if err := exportLines(app, w, r); err != nil {
		return caddy.APIError{HTTPStatus: http.StatusBadRequest, Err: hinted(app, err)}
	}
	return nil
}
