// Command typed asks a server with Aiven's own typed Go client, whose types are strict where avn's are not: it fails if anything of an answer does not fit them, or says something else than it should.
//
//	typed PROJECT PRIMARY RECOVERY      AIVEN_WEB_URL and AIVEN_TOKEN in the environment; the primary is failed, the recovery active
//
// It is a module of its own, so that nothing of that client is among what Switchback is built of.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	aiven "github.com/aiven/go-client-codegen"
	"github.com/aiven/go-client-codegen/handler/service"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: typed PROJECT PRIMARY RECOVERY")
		os.Exit(2)
	}
	c, err := aiven.NewClient(aiven.UserAgentOpt("switchback-conformance"), aiven.RetryMaxOpt(0))
	if err == nil {
		err = run(context.Background(), c, os.Args[1], os.Args[2], os.Args[3])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, c aiven.Client, project, primary, recovery string) error {
	all, err := c.ServiceList(ctx, project)
	if err != nil {
		return fmt.Errorf("list services: %w", err)
	}
	fmt.Printf("%d services\n", len(all))
	for name, want := range map[string]service.ServiceStateType{primary: service.ServiceStateTypePoweroff, recovery: service.ServiceStateTypeRunning} {
		if err := look(ctx, c, project, name, want); err != nil {
			return fmt.Errorf("service %s: %w", name, err)
		}
	}
	id, err := integration(ctx, c, project, primary, recovery)
	if err != nil {
		return fmt.Errorf("integration: %w", err)
	}
	yes, plan := true, "switchback"
	_, err = c.ServiceUpdate(ctx, project, primary, &service.ServiceUpdateIn{Powered: &yes, Plan: &plan, UserConfig: &map[string]any{}})
	if err := refused(err, 409, "does not revive it"); err != nil {
		return fmt.Errorf("power a failed service on: %w", err)
	}
	_, err = c.ServiceIntegrationCreate(ctx, project, &service.ServiceIntegrationCreateIn{SourceService: &primary, DestService: &recovery, IntegrationType: service.IntegrationTypeDisasterRecovery})
	if err := refused(err, 409, "switchback failback"); err != nil {
		return fmt.Errorf("make the integration anew: %w", err)
	}
	if err := refused(c.ServiceIntegrationDelete(ctx, project, id), 409, "switchback failback"); err != nil {
		return fmt.Errorf("delete the integration: %w", err)
	}
	if err := refused(c.ServiceDelete(ctx, project, recovery), 403, "it is active"); err != nil {
		return fmt.Errorf("delete the active: %w", err)
	}
	_, err = c.ServiceGet(ctx, project, "nowhere")
	if !aiven.IsNotFound(err) {
		return fmt.Errorf("a service that is not there: %v", err)
	}
	return nil
}

func look(ctx context.Context, c aiven.Client, project, name string, want service.ServiceStateType) error {
	s, err := c.ServiceGet(ctx, project, name)
	switch {
	case err != nil:
		return err
	case s.State != want || s.ServiceType != "pg" || s.CloudName == "" || s.Plan == "" || s.UpdateTime.IsZero() || s.Maintenance == nil || s.ConnectionInfo == nil:
		return fmt.Errorf("%+v; want it %s", s, want)
	case len(s.ServiceIntegrations) != 1 || s.ServiceIntegrations[0].IntegrationType != service.IntegrationTypeDisasterRecovery:
		return fmt.Errorf("integrations %+v", s.ServiceIntegrations)
	}
	usages := map[service.UsageType]bool{}
	for _, x := range s.Components {
		usages[x.Usage] = true
	}
	if !usages[service.UsageTypePrimary] || !usages[service.UsageTypeDisasterRecovery] {
		return fmt.Errorf("components %+v", s.Components)
	}
	fmt.Printf("%s is %s at %s\n", name, s.State, s.ServiceUri)
	return nil
}

func integration(ctx context.Context, c aiven.Client, project, primary, recovery string) (id string, err error) {
	list, err := c.ServiceIntegrationList(ctx, project, recovery)
	if err != nil || len(list) != 1 {
		return "", fmt.Errorf("list: %d, %w", len(list), err)
	}
	i, err := c.ServiceIntegrationGet(ctx, project, list[0].ServiceIntegrationId)
	if err != nil {
		return "", err
	}
	if i.SourceService != primary || i.DestService == nil || *i.DestService != recovery || i.Active || !i.Enabled || i.IntegrationStatus == nil {
		return "", fmt.Errorf("%+v; want it from %s to %s, not active", i, primary, recovery)
	}
	fmt.Printf("integration %s: %s\n", i.ServiceIntegrationId, i.IntegrationStatus.StatusUserDesc)
	return i.ServiceIntegrationId, nil
}

// refused says what is wrong with an error that should be a refusal.
func refused(err error, status int, says string) error {
	e, ok := errors.AsType[aiven.Error](err)
	if !ok || e.Status != status || !strings.Contains(e.Message, says) {
		return fmt.Errorf("%v; want %d and %q", err, status, says)
	}
	fmt.Println(e.Status, e.Message)
	return nil
}
