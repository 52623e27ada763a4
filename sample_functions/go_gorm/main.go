// An order service with GORM.
//
// The name of the handler chooses how it holds its connection: leave, close, once or checked.
package main

import (
	"context"
	"log"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"gorm.io/gorm"
)

// Lives as long as the environment, from one event to the next.
var db *gorm.DB

func main() {
	switch handler := os.Getenv("_HANDLER"); handler {
	case "leave":
		lambda.Start(leave)
	case "close":
		lambda.Start(closeAfterwards)
	case "once":
		db = mustOpen(fromEnvironment())
		lambda.Start(once)
	case "checked":
		config := fromEnvironment()
		// After a failover the old writer only reads: the driver parts with a connection that leads there.
		config.RejectReadOnly = true
		db = mustOpen(config)
		pool := mustPool(db)
		// An environment serves one event at a time.
		pool.SetMaxOpenConns(1)
		// Shorter than the patience of servers, firewalls and NAT gateways.
		pool.SetConnMaxLifetime(3 * time.Minute)
		lambda.StartWithOptions(checked, lambda.WithEnableSIGTERM(shutDown))
	default:
		log.Fatalf("there is no handler %q: choose leave, close, once or checked", handler)
	}
}

// leave follows GORM's quick start, which has no Close: each event opens a pool, and each pool keeps its connection.
func leave(ctx context.Context, in event) (*answer, error) {
	db, err := open(fromEnvironment())
	if err != nil {
		return nil, err
	}
	return serve(ctx, db, in)
}

// closeAfterwards keeps its pool in the package's variable, as if for the next event, and closes it on return. What
// is thawed is a closed pool, which says "sql: database is closed"; it works only because every event opens anew.
func closeAfterwards(ctx context.Context, in event) (*answer, error) {
	var err error
	if db, err = open(fromEnvironment()); err != nil {
		return nil, err
	}
	defer mustPool(db).Close()
	return serve(ctx, db, in)
}

// once trusts in what the driver does by itself: a look at the socket before a connection is used again, which
// sees a close that has arrived, and nothing of a silent end.
func once(ctx context.Context, in event) (*answer, error) {
	return serve(ctx, db, in)
}

// checked asks the server before it relies on a connection that may have been frozen for hours.
func checked(ctx context.Context, in event) (*answer, error) {
	if err := ping(ctx); err != nil {
		// The connection that failed is out of the pool now, so this one dials.
		if err := ping(ctx); err != nil {
			return nil, err
		}
	}
	return serve(ctx, db, in)
}

// ping has a limit of its own: where the path has forgotten the connection, no answer ever comes.
func ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return mustPool(db).PingContext(ctx)
}

// shutDown says goodbye to the server, where Lambda says goodbye to us.
func shutDown() {
	mustPool(db).Close()
	// Nothing else ends this process: without this Lambda waits for it, and kills it.
	os.Exit(0)
}
