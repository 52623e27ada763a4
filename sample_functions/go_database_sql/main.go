// An order service with database/sql and go-sql-driver/mysql.
//
// The name of the handler chooses how it holds its connection: leave, close, once or checked.
package main

import (
	"context"
	"database/sql"
	"log"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/go-sql-driver/mysql"
)

// A sql.DB is not a connection but a pool of them: it dials when it has to, and keeps what is idle.
var db *sql.DB

func main() {
	switch handler := os.Getenv("_HANDLER"); handler {
	case "leave":
		lambda.Start(leave)
	case "close":
		lambda.Start(closeAfterwards)
	case "once":
		db = open(fromEnvironment())
		lambda.Start(once)
	case "checked":
		config := fromEnvironment()
		// After a failover the old writer only reads: the driver parts with a connection that leads there.
		config.RejectReadOnly = true
		db = open(config)
		// An environment serves one event at a time.
		db.SetMaxOpenConns(1)
		// Shorter than the patience of servers, firewalls and NAT gateways.
		db.SetConnMaxLifetime(3 * time.Minute)
		lambda.StartWithOptions(checked, lambda.WithEnableSIGTERM(shutDown))
	default:
		log.Fatalf("there is no handler %q: choose leave, close, once or checked", handler)
	}
}

// leave is the mistake: a new pool for every event, and each keeps its connection for ever.
func leave(ctx context.Context, in event) (*answer, error) {
	return serve(ctx, open(fromEnvironment()), in)
}

// closeAfterwards costs a handshake for every event, and leaves nothing behind.
func closeAfterwards(ctx context.Context, in event) (*answer, error) {
	db := open(fromEnvironment())
	defer db.Close()
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
	return db.PingContext(ctx)
}

// shutDown says goodbye to the server, where Lambda says goodbye to us.
func shutDown() {
	db.Close()
	// Nothing else ends this process: without this Lambda waits for it, and kills it.
	os.Exit(0)
}

func fromEnvironment() *mysql.Config {
	config := mysql.NewConfig()
	config.Net = "tcp"
	config.Addr = os.Getenv("DB_HOST") + ":" + os.Getenv("DB_PORT")
	config.User = os.Getenv("DB_USER")
	config.Passwd = os.Getenv("DB_PASSWORD")
	config.DBName = os.Getenv("DB_NAME")
	return config
}

func open(config *mysql.Config) *sql.DB {
	db, err := sql.Open("mysql", config.FormatDSN())
	if err != nil {
		log.Fatal(err) // a configuration that cannot be read; a server that cannot be reached shows later
	}
	return db
}
