package android.net;

/** A stub of the platform's class. */
public final class LinkProperties {}
