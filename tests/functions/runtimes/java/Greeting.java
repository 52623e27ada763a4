package greeting;

/** What a layer brings. */
public class Greeting {
    @Override
    public String toString() {
        return "hello";
    }
}
