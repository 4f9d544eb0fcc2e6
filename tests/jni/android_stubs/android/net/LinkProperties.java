package android.net;

/** A stub of the platform's class, to compile against. */
public final class LinkProperties {}
