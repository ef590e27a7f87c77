package projects

import (
	"fmt"
	"strings"
)

// unknownField says what was probably meant, or what there is.
func unknownField(name string, known []string) Problem {
	message := "unknown field " + quoted(name)
	if hint := didYouMean(name, known); hint != "" {
		return Problem{Message: message + hint}
	}
	return Problem{Message: fmt.Sprintf("%s: allowed are %s", message, strings.Join(known, ", "))}
}
