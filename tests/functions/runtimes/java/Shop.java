package shop;

import java.util.Map;

/** Does what the event says, for the tests of runtimes. */
public class Shop {
    private static int count = 0;

    public Object handle(Map<String, Object> event) throws Exception {
        switch ((String) event.get("do")) {
            case "count":
                return Map.of("count", ++count);
            case "fail":
                throw new IllegalStateException("not today");
            case "exit":
                System.exit(3);
                return null;
            case "sleep":
                Thread.sleep(20_000);
                return null;
            case "variables":
                return System.getenv();
            case "say":
                System.out.println(event.get("text"));
                return null;
            case "load":
                return Class.forName((String) event.get("module")).getDeclaredConstructor().newInstance().toString();
            default:
                throw new IllegalArgumentException("unknown");
        }
    }
}
