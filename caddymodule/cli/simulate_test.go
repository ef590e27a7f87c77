package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// shortScenario is one that takes a moment.
const shortScenario = "name: short\nabout: two regions\nregions: [eu-central-1, us-east-1]\nduration: 80s\nrate: 20\n"

func written(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestSimulate(t *testing.T) {
	stdout, stderr, code := execute(t, "simulate", written(t, "short.yaml", shortScenario))
	lines := strings.Split(stdout, "\n")
	if code != 0 || stderr != "" || len(lines) != 10 {
		t.Fatalf("code %d, %s\n%s", code, stderr, stdout)
	}
	for i, want := range []string{"short: two regions", "POLICY ", "edgegate ", "great circle ", "centroid ", "continent ", "random ", "single ", "oracle "} {
		if !strings.HasPrefix(lines[i], want) {
			t.Errorf("line %d is %q, want %s", i+1, lines[i], want)
		}
	}
	if again, _, _ := execute(t, "simulate", written(t, "short.yaml", shortScenario)); again != stdout {
		t.Errorf("another time it is\n%s\nand not\n%s", again, stdout)
	}
}

func TestSimulateJSON(t *testing.T) {
	rtt := written(t, "rtt.csv", "city,country,lat,lon,eu-central-1,us-east-1\nBerlin,DE,52.5,13.4,90,5\n")
	var out bytes.Buffer
	stderr, code := executeFrom(t, strings.NewReader(shortScenario+"nearest: client"), &out, "simulate", "-", "--rtt", rtt, "-o", "json")
	if code != 0 || stderr != "" {
		t.Fatalf("code %d, %s", code, stderr)
	}
	var answer struct {
		Scenarios []struct {
			Scenario string
			Results  []struct {
				Policy    string
				MeanExtra float64 `json:"mean_extra_ms"`
				Automatic int
			}
		}
	}
	if err := json.Unmarshal(out.Bytes(), &answer); err != nil {
		t.Fatal(err)
	}
	if len(answer.Scenarios) != 1 || answer.Scenarios[0].Scenario != "short" || len(answer.Scenarios[0].Results) != 7 {
		t.Fatalf("%s", out.String())
	}
	for _, r := range answer.Scenarios[0].Results {
		if r.Automatic == 0 || r.Policy == "great circle" && r.MeanExtra != 85 || r.Policy == "oracle" && r.MeanExtra != 0 {
			t.Errorf("%+v", r)
		}
	}
}

func TestSimulateErrors(t *testing.T) {
	short := written(t, "short.yaml", shortScenario)
	wrong := written(t, "wrong.yml", "name: x\nrats: 5\nrate: 0")
	noYAML := written(t, "no.yml", "name: [")
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"clint"}, 2, `did you mean client?`},
		{[]string{"normal", "client"}, 2, "simulate takes SCENARIO, got 2 arguments"},
		{[]string{"-o", "yaml", "normal"}, 2, "allowed are table and json"},
		{[]string{"--rrt", "x"}, 2, "did you mean --rtt?"},
		{[]string{"missing.yaml"}, 1, "missing.yaml: no such file"},
		{[]string{wrong}, 1, wrong + `:2: rats: no such field (did you mean rate?)`},
		{[]string{wrong}, 1, wrong + `:3: rate: 0 is not within`},
		{[]string{noYAML}, 1, noYAML + `: reading YAML: yaml: line 1`},
		{[]string{short, "--rtt", "missing.csv"}, 1, "missing.csv: no such file"},
		{[]string{short, "--rtt", written(t, "r.csv", "city,country\n")}, 1, "r.csv: line 1: the first line must be city,country,lat,lon"},
		{[]string{short, "--rtt", written(t, "r.csv", "city,country,lat,lon,mars\nBerlin,DE,52.5,13.4,9\n")}, 1, "scenario short: the cities have no round trips to region eu-central-1; there are mars"},
	} {
		stdout, stderr, code := execute(t, append([]string{"simulate"}, test.args...)...)
		var line struct{ Error, Hint string }
		if err := json.Unmarshal([]byte(stderr), &line); err != nil || line.Hint == "" {
			t.Errorf("%q: %v, %s", test.args, err, stderr)
		}
		if code != test.code || stdout != "" || !strings.Contains(line.Error+" "+line.Hint, test.want) {
			t.Errorf("%q: code %d, %s, want %d and %s", test.args, code, stderr, test.code, test.want)
		}
	}
}

// closedOutput is a pipe whose reader went away.
type closedOutput struct{}

func (closedOutput) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestSimulateIntoClosedOutput(t *testing.T) {
	for _, output := range []string{"table", "json"} {
		if stderr, code := executeTo(t, closedOutput{}, "simulate", written(t, "short.yaml", shortScenario), "-o", output); code != 1 || !strings.Contains(stderr, "broken pipe") {
			t.Errorf("%s: code %d, %s", output, code, stderr)
		}
	}
}
