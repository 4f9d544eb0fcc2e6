package android.test;

import android.app.Notification;
import android.content.BroadcastReceiver;
import android.net.ConnectivityManager;
import android.net.Network;
import android.net.VpnService;
import android.os.PowerManager;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.IntFunction;
import java.util.function.IntPredicate;
import java.util.function.IntSupplier;

/** What stands for the device: the stubs note here what they are told, and answer what a test put here. */
public final class Device {
  public final ConnectivityManager connectivity = new ConnectivityManager();
  public final PowerManager power = new PowerManager();
  public final List<VpnService.Builder> established = new CopyOnWriteArrayList<>();
  public final List<Notification> notifications = new CopyOnWriteArrayList<>();
  public final List<BroadcastReceiver> receivers = new CopyOnWriteArrayList<>();

  /** Of the service, as setUnderlyingNetworks() left them; null: the system's default. */
  public volatile Network[] underlying;

  public volatile boolean foreground;
  public volatile boolean stopped;
  public volatile boolean alwaysOn;
  public volatile boolean lockdown;
  public volatile boolean prepared = true;

  /** Interfaces that are open. */
  public volatile int interfaces;

  /** Descriptors that were taken back. */
  public final List<Integer> adopted = new CopyOnWriteArrayList<>();

  public volatile IntSupplier openTun = () -> -1;
  public volatile IntPredicate protect = socket -> true;
  public volatile IntFunction<Integer> owner = protocol -> -1;

  /** The one that is there now. */
  public static volatile Device now = new Device();
}
