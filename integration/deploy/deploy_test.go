// Package deploy_test checks the files in deploy/ with the code of the tools that read
// them: BuildKit's linter, Compose's loader, and the types of Kubernetes and of the
// Prometheus operator. It is its own module, so that the gate depends on none of them.
package deploy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/opencontainers/go-digest"
	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/yaml"
	sigsyaml "sigs.k8s.io/yaml"
)

var deploy = filepath.Join("..", "..", "deploy")

// The time that the gateway needs to finish its deliveries: the defaults of body_timeout
// and delivery_timeout.
const longestDelivery = 90 * time.Second

// TestDockerfiles does what `docker build --check` does, but fetches no base images. The
// image of a release has nothing in it but the binary and what it needs.
func TestDockerfiles(t *testing.T) {
	for name, lines := range map[string][]string{
		"Dockerfile":         {"\nUSER 65532:65532\n", "\nHEALTHCHECK ", "\nCOPY --from=build "},
		"release/Dockerfile": {"\nUSER 65532:65532\n", "\nFROM scratch\n", "\nENTRYPOINT ["},
	} {
		text := read(t, filepath.FromSlash(name))
		lintDockerfile(t, name, text)
		for _, line := range lines {
			if !bytes.Contains(text, []byte(line)) {
				t.Errorf("%s: no line %q", name, strings.TrimSpace(line))
			}
		}
	}
}

func lintDockerfile(t *testing.T, name string, text []byte) {
	t.Helper()
	source := llb.NewSourceMap(nil, name, "", text)
	source.Definition = new(llb.Definition)
	results, err := dockerfile2llb.DockerfileLint(t.Context(), text, dockerfile2llb.ConvertOpt{SourceMap: source, MetaResolver: unfetched{}})
	if err != nil {
		t.Fatal(err)
	}
	if results.Error != nil {
		t.Errorf("%s: %s", name, results.Error.Message)
	}
	for _, w := range results.Warnings {
		t.Errorf("%s: %s: %s (%s)", name, w.RuleName, w.Detail, w.URL)
	}
}

// unfetched tells the linter the one thing that it needs to know about a base image: its
// system.
type unfetched struct{}

func (unfetched) ResolveImageConfig(_ context.Context, image string, _ sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	config := []byte(`{"os":"linux","architecture":"amd64"}`)
	return image, digest.FromBytes(config), config, nil
}

// TestCompose loads the file as `docker compose` does, with every profile.
func TestCompose(t *testing.T) {
	options, err := cli.NewProjectOptions([]string{filepath.Join(deploy, "compose.yaml")}, cli.WithProfiles([]string{"*"}))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if names := project.ServiceNames(); !slices.Equal(names, []string{"app", "gateway", "prometheus", "redis"}) {
		t.Errorf("services %q", names)
	}
	gateway := project.Services["gateway"]
	if !gateway.ReadOnly || !slices.Contains(gateway.CapDrop, "ALL") || gateway.StopGracePeriod == nil ||
		time.Duration(*gateway.StopGracePeriod) <= longestDelivery {
		t.Errorf("the gateway is not confined, or is killed in the middle of a delivery: %v, %v, %v",
			gateway.ReadOnly, gateway.CapDrop, gateway.StopGracePeriod)
	}
	for _, volume := range gateway.Volumes {
		wantSource(t, volume)
	}
	for _, volume := range project.Services["prometheus"].Volumes {
		wantSource(t, volume)
	}
	if app := project.Services["app"]; len(app.Ports) > 0 || len(app.Networks) != 1 || !bool(project.Networks["app"].Internal) {
		t.Error("there is a second way to the app")
	}
}

// wantSource fails the test unless the file that is mounted from the clone exists.
func wantSource(t *testing.T, volume types.ServiceVolumeConfig) {
	t.Helper()
	if volume.Type != types.VolumeTypeBind {
		return
	}
	if _, err := os.Stat(volume.Source); err != nil {
		t.Errorf("%s: %v", volume.Target, err)
	}
}

// manifests returns the documents of kubernetes.yaml, by kind and name, each decoded into
// its type. An unknown field is an error, and so is one given twice.
func manifests(t *testing.T) map[string]any {
	t.Helper()
	kinds := map[string]any{
		"apps/v1/Deployment":                  apps.Deployment{},
		"v1/Service":                          core.Service{},
		"policy/v1/PodDisruptionBudget":       policy.PodDisruptionBudget{},
		"networking.k8s.io/v1/NetworkPolicy":  networking.NetworkPolicy{},
		"monitoring.coreos.com/v1/PodMonitor": monitoring.PodMonitor{},
	}
	decoded := make(map[string]any)
	documents := yaml.NewDocumentDecoder(io.NopCloser(bytes.NewReader(read(t, "kubernetes.yaml"))))
	buffer := make([]byte, 1<<20)
	for {
		n, err := documents.Read(buffer)
		if errors.Is(err, io.EOF) {
			return decoded
		}
		if err != nil {
			t.Fatal(err)
		}
		var head struct {
			meta.TypeMeta   `json:",inline"`
			meta.ObjectMeta `json:"metadata"`
		}
		if err := sigsyaml.Unmarshal(buffer[:n], &head); err != nil {
			t.Fatal(err)
		}
		kind, ok := kinds[head.APIVersion+"/"+head.Kind]
		if !ok {
			t.Fatalf("no type for %s %s", head.APIVersion, head.Kind)
		}
		object := reflect.New(reflect.TypeOf(kind)).Interface()
		if err := sigsyaml.UnmarshalStrict(buffer[:n], object); err != nil {
			t.Fatalf("%s %s: %v", head.Kind, head.Name, err)
		}
		decoded[head.Kind+"/"+head.Name] = object
	}
}

// get returns one manifest.
func get[T any](t *testing.T, all map[string]any, name string) T {
	t.Helper()
	object, ok := all[name].(T)
	if !ok {
		t.Fatalf("kubernetes.yaml has no %s", name)
	}
	return object
}

func TestKubernetesDeployment(t *testing.T) {
	deployment := get[*apps.Deployment](t, manifests(t), "Deployment/webhook-gateway")
	pod := deployment.Spec.Template
	wantSelects(t, deployment.Spec.Selector, pod.Labels)
	if grace := pod.Spec.TerminationGracePeriodSeconds; grace == nil || time.Duration(*grace)*time.Second <= longestDelivery {
		t.Error("the pod is killed in the middle of a delivery")
	}
	container := pod.Spec.Containers[0]
	var ports, volumes, mounts []string
	for _, port := range container.Ports {
		ports = append(ports, port.Name)
	}
	for _, probe := range []*core.Probe{container.ReadinessProbe, container.LivenessProbe} {
		if !slices.Contains(ports, probe.HTTPGet.Port.String()) {
			t.Errorf("a probe asks port %s; the container has %q", probe.HTTPGet.Port.String(), ports)
		}
	}
	for _, volume := range pod.Spec.Volumes {
		volumes = append(volumes, volume.Name)
	}
	for _, mount := range container.VolumeMounts {
		mounts = append(mounts, mount.Name)
	}
	if !slices.Equal(volumes, mounts) {
		t.Errorf("volumes %q, mounted %q", volumes, mounts)
	}
	wantConfined(t, pod.Spec, container)
}

func wantConfined(t *testing.T, pod core.PodSpec, container core.Container) {
	t.Helper()
	set := func(flag *bool, want bool) bool { return flag != nil && *flag == want }
	c := container.SecurityContext
	if !set(pod.SecurityContext.RunAsNonRoot, true) || !set(c.AllowPrivilegeEscalation, false) ||
		!set(c.ReadOnlyRootFilesystem, true) || !slices.Contains(c.Capabilities.Drop, "ALL") ||
		!set(pod.AutomountServiceAccountToken, false) {
		t.Errorf("the container is not confined: %s", marshal(t, c))
	}
}

// TestKubernetesSelectors: every selector selects something. A label or a port that does
// not exist selects nothing, and no schema notices.
func TestKubernetesSelectors(t *testing.T) {
	all := manifests(t)
	pod := get[*apps.Deployment](t, all, "Deployment/webhook-gateway").Spec.Template
	ports := make(map[string]bool)
	for _, port := range pod.Spec.Containers[0].Ports {
		ports[port.Name] = true
	}
	service := get[*core.Service](t, all, "Service/webhook-gateway")
	wantSelects(t, &meta.LabelSelector{MatchLabels: service.Spec.Selector}, pod.Labels)
	for _, port := range service.Spec.Ports {
		if !ports[port.TargetPort.String()] {
			t.Errorf("the service sends to port %s", port.TargetPort.String())
		}
	}
	wantSelects(t, get[*policy.PodDisruptionBudget](t, all, "PodDisruptionBudget/webhook-gateway").Spec.Selector, pod.Labels)
	monitor := get[*monitoring.PodMonitor](t, all, "PodMonitor/webhook-gateway")
	wantSelects(t, &monitor.Spec.Selector, pod.Labels)
	if port := monitor.Spec.PodMetricsEndpoints[0].Port; port == nil || !ports[*port] {
		t.Errorf("the monitor scrapes a port that the pod does not name")
	}
}

func TestKubernetesNetworkPolicies(t *testing.T) {
	all := manifests(t)
	pod := get[*apps.Deployment](t, all, "Deployment/webhook-gateway").Spec.Template
	gateway := get[*networking.NetworkPolicy](t, all, "NetworkPolicy/webhook-gateway").Spec
	wantSelects(t, &gateway.PodSelector, pod.Labels)
	app := get[*networking.NetworkPolicy](t, all, "NetworkPolicy/app").Spec
	if len(app.Ingress) != 1 || len(app.Ingress[0].From) != 1 {
		t.Fatal("something other than the gateway reaches the app")
	}
	wantSelects(t, app.Ingress[0].From[0].PodSelector, pod.Labels)
	for _, rule := range gateway.Egress {
		if len(rule.To) == 0 {
			t.Error("the gateway may talk to anything")
		}
	}
}

// TestFilesAgree: the mounts, the probes and the app match the Caddyfile and the
// Dockerfile.
func TestFilesAgree(t *testing.T) {
	caddyfile, dockerfile := string(read(t, "Caddyfile.container")), string(read(t, "Dockerfile"))
	app := get[*networking.NetworkPolicy](t, manifests(t), "NetworkPolicy/app")
	if upstream := app.Name + ":" + app.Spec.Ingress[0].Ports[0].Port.String(); !strings.Contains(caddyfile, "reverse_proxy "+upstream+"\n") {
		t.Errorf("the Caddyfile does not proxy to %s", upstream)
	}
	container := get[*apps.Deployment](t, manifests(t), "Deployment/webhook-gateway").Spec.Template.Spec.Containers[0]
	for _, mount := range container.VolumeMounts {
		if !regexp.MustCompile(regexp.QuoteMeta(mount.MountPath) + `\b`).MatchString(caddyfile + dockerfile) {
			t.Errorf("neither the Caddyfile nor the Dockerfile knows %s", mount.MountPath)
		}
	}
	for _, probe := range []*core.Probe{container.ReadinessProbe, container.LivenessProbe} {
		if !strings.Contains(caddyfile, "handle "+probe.HTTPGet.Path+" {") || !strings.Contains(dockerfile, ":9180"+probe.HTTPGet.Path) {
			t.Errorf("nothing answers the probe %s", probe.HTTPGet.Path)
		}
	}
}

func wantSelects(t *testing.T, selector *meta.LabelSelector, pod map[string]string) {
	t.Helper()
	parsed, err := meta.LabelSelectorAsSelector(selector)
	if err != nil {
		t.Fatal(err)
	}
	if parsed.Empty() || !parsed.Matches(labels.Set(pod)) {
		t.Errorf("the selector %s does not select %v", parsed, pod)
	}
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(deploy, name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func marshal(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
