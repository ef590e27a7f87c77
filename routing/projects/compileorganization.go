package projects

import (
	"errors"
	"maps"
	"slices"
	"time"
)

// addOrganizations builds the organizations, or takes over those whose text is
// the same as before.
func (r *run) addOrganizations(records []Record) {
	for i := range records {
		record := &records[i]
		sum := record.digest()
		built := r.last.organizations[sum]
		if built == nil {
			var id string
			var invalid *InvalidError
			built, id, invalid = r.buildOrganization(record)
			built.digest = sum
			if !invalid.empty() {
				r.invalid.addAll(record.Path, invalid)
				if r.keepGood {
					if built = r.last.byID[id]; !r.stays(built != nil) {
						continue
					}
				}
			}
		}
		id := built.organization.ID
		if first, taken := r.idPaths[id]; taken {
			r.twice(join(record.Path, "id"), id, first)
			if r.keepGood {
				r.report.Dropped++
			}
			continue
		}
		// Also one in error, or its projects would be in error as well.
		r.byID[id], r.idPaths[id] = built, record.Path
	}
}

// buildOrganization reads one record. id is that of the record's organization, also if the
// record is wrong.
func (r *run) buildOrganization(record *Record) (built *builtOrganization, id string, invalid *InvalidError) {
	var cfg OrganizationConfig
	invalid, unread := record.decode(&cfg)
	c := compiler{Builder: r.Builder, invalid: invalid, unread: unread}
	if id = record.Key; id == "" {
		id = cfg.ID
	}
	if cfg.ID != "" && cfg.ID != id {
		c.wrong("id", "%s: it is filed under %s", quoted(cfg.ID), quoted(id))
	}
	return &builtOrganization{organization: c.account(cfg, id, r.zone)}, id, invalid
}

// account builds an organization of what is said of it.
func (c *compiler) account(cfg OrganizationConfig, id string, zone func(string) (*time.Location, error)) *Organization {
	if !ValidOrganizationID(id) {
		c.wrong("id", "%s: must be letters, digits, _, - and ., at most %d", quoted(id), maxID)
	}
	o := &Organization{
		ID:             id,
		SpendCap:       cfg.SpendCap,
		Quota:          cfg.Quota,
		Grace:          time.Duration(cfg.Grace),
		StripeCustomer: cfg.StripeCustomer,
	}
	if cfg.StripeCustomer != "" && !ValidStripeCustomer(cfg.StripeCustomer) {
		c.wrong("stripe_customer", "%s: must be the id of a customer at Stripe, such as \"cus_NciAYcXfLnqBoz\"", quoted(cfg.StripeCustomer))
	}
	if cfg.Plan != "" {
		plan, ok := c.config.Plans[cfg.Plan]
		if !ok {
			c.wrong("plan", "unknown plan %s", notAllowed(cfg.Plan, slices.Sorted(maps.Keys(c.config.Plans))))
		}
		plan.Name = cfg.Plan
		o.Plan = &plan
	}
	if cfg.CycleStart != nil {
		o.CycleStart = *cfg.CycleStart
	}
	if o.Quota != nil {
		c.nonNegative("quota", *o.Quota)
		if *o.Quota > MaxQuota {
			c.wrong("quota", "must be at most %d", MaxQuota)
		}
	}
	c.nonNegative("grace", int64(cfg.Grace))
	var err error
	if o.TimeZone, err = zone(cfg.TimeZone); err != nil {
		c.wrong("time_zone", "%s: %s", quoted(cfg.TimeZone), err)
	}
	return o
}

// zone loads a time zone once for all organizations. Local is refused: cycles
// must not depend on the machine.
func (r *run) zone(name string) (*time.Location, error) {
	if name == "" {
		return time.UTC, nil
	}
	if known, ok := r.zones[name]; ok {
		return known, nil
	}
	loaded, err := loadZone(name)
	if err == nil {
		r.zones[name] = loaded
	}
	return loaded, err
}

func loadZone(name string) (*time.Location, error) {
	loaded, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		return time.UTC, errors.New(`must be an IANA time zone such as "Europe/Berlin"`)
	}
	return loaded, nil
}
