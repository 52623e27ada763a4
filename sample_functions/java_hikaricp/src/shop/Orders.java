package shop;

import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Map;

/**
 * Orders over HikariCP. The handler's name chooses how long a connection lives: leave, close, connection, once, checked.
 *
 * <p>Lambda makes one object of this class for each environment, and gives it one event at a time.
 */
public class Orders {
    private static final String TABLE = """
            CREATE TABLE IF NOT EXISTS orders (
                id BIGINT PRIMARY KEY AUTO_INCREMENT, item VARCHAR(64) NOT NULL, pieces INT NOT NULL,
                placed TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP)""";

    private Connection kept;
    private HikariDataSource pool;
    private boolean tableExists;
    private int count;

    /** The famous mistake: a pool for every event, closed by nobody. Its threads keep it alive for ever. */
    public Map<String, Object> leave(Map<String, Object> event) throws SQLException, InterruptedException {
        count++;
        return borrow(new HikariDataSource(settings()), event);
    }

    /** A pool for every event, closed at its end; a timeout or a crash never gets there. */
    public Map<String, Object> close(Map<String, Object> event) throws SQLException, InterruptedException {
        count++;
        try (HikariDataSource own = new HikariDataSource(settings())) {
            return borrow(own, event);
        }
    }

    /** One connection, no pool. When the server gives it up, every later event fails. */
    public Map<String, Object> connection(Map<String, Object> event) throws SQLException, InterruptedException {
        count++;
        if (kept == null) {
            HikariConfig settings = settings();
            kept = DriverManager.getConnection(settings.getJdbcUrl(), settings.getUsername(), settings.getPassword());
        }
        return takeOrder(kept, event);
    }

    /** The pool as it comes: it asks a connection before use, unless that one was in use half a second ago. */
    public Map<String, Object> once(Map<String, Object> event) throws SQLException, InterruptedException {
        count++;
        if (pool == null) {
            pool = new HikariDataSource(settings());
        }
        return borrow(pool, event);
    }

    /** The pool, told what freezing means. */
    public Map<String, Object> checked(Map<String, Object> event) throws SQLException, InterruptedException {
        count++;
        if (pool == null) {
            pool = new HikariDataSource(careful(settings()));
        }
        return borrow(pool, event);
    }

    private static HikariConfig settings() {
        HikariConfig settings = new HikariConfig();
        settings.setJdbcUrl("jdbc:mysql://%s:%s/%s".formatted(env("DB_HOST"), env("DB_PORT"), env("DB_NAME")));
        settings.setUsername(env("DB_USER"));
        settings.setPassword(env("DB_PASSWORD"));
        // One event at a time needs one connection; the default is ten for each environment.
        settings.setMaximumPoolSize(1);
        return settings;
    }

    private static HikariConfig careful(HikariConfig settings) {
        // Half a second is enough to be frozen and forgotten: ask every time.
        System.setProperty("com.zaxxer.hikari.aliveBypassWindowMs", "0");
        // A path that has forgotten the connection never answers the question; the function has seconds, not minutes.
        settings.setValidationTimeout(1000);
        settings.setConnectionTimeout(3000);
        settings.addDataSourceProperty("connectTimeout", "2000");
        // Below wait_timeout and below the 350 s of a NAT gateway. No keepaliveTime: nobody keeps anything alive frozen.
        settings.setMaxLifetime(300_000);
        return settings;
    }

    private Map<String, Object> borrow(HikariDataSource from, Map<String, Object> event)
            throws SQLException, InterruptedException {
        try (Connection connection = from.getConnection()) {
            return takeOrder(connection, event);
        }
    }

    private Map<String, Object> takeOrder(Connection connection, Map<String, Object> event)
            throws SQLException, InterruptedException {
        if (!tableExists) {
            try (Statement statement = connection.createStatement()) {
                statement.execute(TABLE);
            }
            tableExists = true;
        }
        long session = query(connection, "SELECT CONNECTION_ID()");
        if (Boolean.TRUE.equals(event.get("show"))) {
            return Map.of("orders", query(connection, "SELECT COUNT(*) FROM orders"), "session", session, "count", count);
        }
        return Map.of("order", insert(connection, event), "session", session, "count", count);
    }

    private static long insert(Connection connection, Map<String, Object> event)
            throws SQLException, InterruptedException {
        connection.setAutoCommit(false);
        try (PreparedStatement statement = connection.prepareStatement(
                "INSERT INTO orders (item, pieces) VALUES (?, ?)", Statement.RETURN_GENERATED_KEYS)) {
            statement.setString(1, (String) event.getOrDefault("item", "tea"));
            statement.setInt(2, ((Number) event.getOrDefault("pieces", 2)).intValue());
            statement.executeUpdate();
            long order = first(statement.getGeneratedKeys());
            Thread.sleep((long) (1000 * ((Number) event.getOrDefault("hold", 0)).doubleValue()));
            connection.commit();
            connection.setAutoCommit(true);
            return order;
        } catch (SQLException | InterruptedException error) {
            undo(connection, error);
            throw error;
        }
    }

    private static void undo(Connection connection, Exception error) {
        try {
            connection.rollback();
            connection.setAutoCommit(true);
        } catch (SQLException second) {
            error.addSuppressed(second);
        }
    }

    private static long query(Connection connection, String query) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            return first(statement.executeQuery(query));
        }
    }

    private static long first(ResultSet rows) throws SQLException {
        try (rows) {
            rows.next();
            return rows.getLong(1);
        }
    }

    private static String env(String name) {
        return System.getenv(name);
    }
}
