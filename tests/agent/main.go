// The Datadog Agent's own trace receiver, with its debugger and SymDB proxies, and nothing
// behind them: what the forwarder is compared with. Its settings are environment variables,
// named as the Agent's where it has one.
//
// With the argument "normalize" it reads a JSON array of texts, and writes what the Agent makes
// of each as a default environment.
package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/DataDog/datadog-agent/pkg/trace/api"
	"github.com/DataDog/datadog-agent/pkg/trace/config"
	"github.com/DataDog/datadog-agent/pkg/trace/sampler"
	"github.com/DataDog/datadog-agent/pkg/trace/telemetry"
	"github.com/DataDog/datadog-agent/pkg/trace/timing"
	"github.com/DataDog/datadog-agent/pkg/trace/traceutil/normalize"
	"github.com/DataDog/datadog-go/v5/statsd"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "normalize" {
		printNormalized()
		return
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	conf := config.New()
	conf.Endpoints[0].APIKey = os.Getenv("DD_API_KEY")
	conf.Hostname = os.Getenv("DD_HOSTNAME")
	conf.DefaultEnv = os.Getenv("DD_ENV")
	conf.AgentVersion = os.Getenv("AGENT_VERSION")
	conf.MaxConnections = 1000
	conf.ReceiverHost = "127.0.0.1"
	conf.ReceiverPort = listener.Addr().(*net.TCPAddr).Port
	conf.DebuggerLogsEnabled = true
	conf.DebuggerProxy.DDURL = os.Getenv("DD_APM_DEBUGGER_DD_URL")
	conf.DebuggerIntakeProxy.DDURL = os.Getenv("DD_APM_DEBUGGER_DIAGNOSTICS_DD_URL")
	conf.SymDBProxy.DDURL = os.Getenv("DD_APM_SYMDB_DD_URL")
	receiver := api.NewHTTPReceiver(
		conf,
		sampler.NewDynamicConfig(),
		make(chan *api.Payload),
		make(chan *api.PayloadV1),
		nil,
		telemetry.NewNoopCollector(),
		&statsd.NoOpClient{},
		timing.New(&statsd.NoOpClient{}),
	)
	receiver.SetTCPListener(listener)
	receiver.Start()
	fmt.Println(listener.Addr())
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	<-stop
	time.AfterFunc(2*time.Second, func() { os.Exit(0) })
	_ = receiver.Stop()
}

func printNormalized() {
	var texts []string
	if err := json.NewDecoder(os.Stdin).Decode(&texts); err != nil {
		panic(err)
	}
	for i, text := range texts {
		texts[i] = normalize.NormalizeTag(text)
	}
	if err := json.NewEncoder(os.Stdout).Encode(texts); err != nil {
		panic(err)
	}
}
