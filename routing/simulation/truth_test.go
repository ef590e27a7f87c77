package simulation

import (
	"strings"
	"testing"
	"time"
)

// The truth of a file counts, not what the gateway believes: here Germany is
// nearest to Virginia.
func TestTruthOfAFile(t *testing.T) {
	cities, err := ReadCities(strings.NewReader("city,country,lat,lon,eu-central-1,us-east-1\nBerlin,DE,52.5,13.4,90,5\n"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := ReadScenario(strings.NewReader("name: x\nregions: [eu-central-1, us-east-1]\nnearest: client\nnamed: 0\nduration: 90s"))
	if err != nil {
		t.Fatal(err)
	}
	results, err := RunAll(s, cities)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		near := r.Policy == PolicySingle || r.Policy == PolicyOracle
		switch {
		case r.Policy == PolicyRandom:
			if r.Wrong < 0.4 || r.Wrong > 0.6 {
				t.Errorf("random: %.2f wrong", r.Wrong)
			}
		case near && r.MeanExtra != 0:
			t.Errorf("%s: %.1f ms extra, want 0", r.Policy, r.MeanExtra)
		case !near && (r.MeanExtra != 85 || r.P95Extra != 85 || r.J != 93.5 || r.Wrong != 1):
			t.Errorf("%s: mean %.1f, p95 %.1f, J %.1f, wrong %.2f", r.Policy, r.MeanExtra, r.P95Extra, r.J, r.Wrong)
		}
	}
}

func TestTruthErrors(t *testing.T) {
	s, err := ReadScenario(strings.NewReader("name: x\nduration: 90s"))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"Berlin,DE,52.5,13.4,1,2": "the cities have no round trips to region ap-northeast-1; there are eu-central-1, us-east-1",
		"Nowhere,XX,1,1,1,2":      "none of the cities is in a country whose population is known",
	} {
		cities, err := ReadCities(strings.NewReader("city,country,lat,lon,us-east-1,eu-central-1\n" + text))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := RunAll(s, cities); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// A gateway that stands at coordinates is as near to regions as they are.
func TestGatewayAtCoordinates(t *testing.T) {
	s, err := ReadScenario(strings.NewReader("name: x\nduration: 90s\ngateways: [50.1 8.7]\nnoise: 0"))
	if err != nil {
		t.Fatal(err)
	}
	cities, err := BuiltInCities()
	if err != nil {
		t.Fatal(err)
	}
	r, err := Run(s, cities, PolicyContinent)
	if err != nil {
		t.Fatal(err)
	}
	// Europe's clients run in Frankfurt, which is here, all others far away.
	if r.Wrong < 0.7 || r.Wrong > 0.97 || r.MeanExtra < float64(50*time.Millisecond/time.Millisecond) {
		t.Errorf("%+v", r)
	}
}
