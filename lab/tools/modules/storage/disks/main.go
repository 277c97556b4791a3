// Command disks stands in for the EBS CSI driver in one region: it has that driver's name, and a disk is a directory.
//
// It makes, copies, mounts and deletes disks, and takes snapshots of them, by the three services of the Container Storage Interface.
// It registers with the kubelet by itself, as node-driver-registrar does for others. A disk and a snapshot are only in the region
// whose directory has them, so a name from another region is not found here, as at AWS.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

const (
	driver  = "ebs.csi.aws.com"
	version = "0.0.0-lab"
	zoneKey = "topology.kubernetes.io/zone"
)

func main() {
	root := flag.String("directory", "", "where disks and snapshots are")
	kubelet := flag.String("kubelet", "/var/lib/kubelet", "the kubelet's directory")
	node := flag.String("node", "", "the node's name")
	zone := flag.String("zone", "", "the node's availability zone")
	flag.Parse()
	if err := serve(store{root: *root}, *kubelet, *node, *zone); err != nil {
		log.Fatalln("disks:", err)
	}
}

func serve(disks store, kubelet, node, zone string) error {
	if disks.root == "" || node == "" || zone == "" {
		return fmt.Errorf("-directory, -node and -zone are needed")
	}
	if err := disks.prepare(); err != nil {
		return err
	}
	endpoint := filepath.Join(kubelet, "plugins", driver, "csi.sock")
	services := grpc.NewServer()
	csi.RegisterIdentityServer(services, identity{})
	csi.RegisterControllerServer(services, controller{disks: disks, zone: zone})
	csi.RegisterNodeServer(services, nodeService{disks: disks, node: node, zone: zone})
	registrar := grpc.NewServer()
	registration.RegisterRegistrationServer(registrar, registrant{endpoint: endpoint})

	failed := make(chan error, 2)
	listen := func(server *grpc.Server, socket string) {
		failed <- fmt.Errorf("%s: %w", socket, serveOn(server, socket))
	}
	go listen(services, endpoint)
	go listen(registrar, filepath.Join(kubelet, "plugins_registry", driver+"-reg.sock"))
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT)
	select {
	case err := <-failed:
		return err
	case <-ended:
		return nil
	}
}

// serveOn removes the socket that a killed region has left, which nobody listens on.
func serveOn(server *grpc.Server, socket string) error {
	if err := os.MkdirAll(filepath.Dir(socket), 0o750); err != nil {
		return err
	}
	if err := os.RemoveAll(socket); err != nil {
		return err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	return server.Serve(listener)
}

type registrant struct {
	registration.UnimplementedRegistrationServer
	endpoint string
}

func (r registrant) GetInfo(context.Context, *registration.InfoRequest) (*registration.PluginInfo, error) {
	return &registration.PluginInfo{
		Type: registration.CSIPlugin, Name: driver, Endpoint: r.endpoint, SupportedVersions: []string{"1.0.0"},
	}, nil
}

func (r registrant) NotifyRegistrationStatus(_ context.Context, status *registration.RegistrationStatus) (*registration.RegistrationStatusResponse, error) {
	if !status.PluginRegistered {
		log.Println("the kubelet refuses the driver:", status.Error)
	}
	return &registration.RegistrationStatusResponse{}, nil
}

type identity struct {
	csi.UnimplementedIdentityServer
}

func (identity) GetPluginInfo(context.Context, *csi.GetPluginInfoRequest) (*csi.GetPluginInfoResponse, error) {
	return &csi.GetPluginInfoResponse{Name: driver, VendorVersion: version}, nil
}

func (identity) GetPluginCapabilities(context.Context, *csi.GetPluginCapabilitiesRequest) (*csi.GetPluginCapabilitiesResponse, error) {
	capability := func(of csi.PluginCapability_Service_Type) *csi.PluginCapability {
		return &csi.PluginCapability{Type: &csi.PluginCapability_Service_{Service: &csi.PluginCapability_Service{Type: of}}}
	}
	return &csi.GetPluginCapabilitiesResponse{Capabilities: []*csi.PluginCapability{
		capability(csi.PluginCapability_Service_CONTROLLER_SERVICE),
		capability(csi.PluginCapability_Service_VOLUME_ACCESSIBILITY_CONSTRAINTS),
	}}, nil
}

func (identity) Probe(context.Context, *csi.ProbeRequest) (*csi.ProbeResponse, error) {
	return &csi.ProbeResponse{}, nil
}
