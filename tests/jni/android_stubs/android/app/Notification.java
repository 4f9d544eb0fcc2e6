package android.app;

/** A stub of the platform's class, to compile against. */
public class Notification {}
