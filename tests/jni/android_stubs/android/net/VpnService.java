package android.net;

import android.app.Service;
import android.content.pm.PackageManager;
import android.os.ParcelFileDescriptor;
import android.test.Device;
import java.util.ArrayList;
import java.util.List;

/** A stub of the platform's class. */
public class VpnService extends Service {
  /** A stub of the platform's class: notes what it is told. */
  public class Builder {
    public final List<String> told = new ArrayList<>();

    private Builder note(String what) {
      told.add(what);
      return this;
    }

    public Builder setSession(String session) {
      return note("session " + session);
    }

    public Builder setMtu(int mtu) {
      return note("mtu " + mtu);
    }

    public Builder addAddress(String address, int prefixLength) {
      return note("address " + address + "/" + prefixLength);
    }

    public Builder addRoute(String address, int prefixLength) {
      return note("route " + address + "/" + prefixLength);
    }

    public Builder excludeRoute(IpPrefix prefix) {
      return note("exclude " + prefix);
    }

    public Builder addDnsServer(String address) {
      return note("dns " + address);
    }

    public Builder setMetered(boolean metered) {
      return note("metered " + metered);
    }

    public Builder setUnderlyingNetworks(Network[] networks) {
      return note("underlying " + networks.length);
    }

    public Builder addAllowedApplication(String name)
        throws PackageManager.NameNotFoundException {
      return application("allowed", name);
    }

    public Builder addDisallowedApplication(String name)
        throws PackageManager.NameNotFoundException {
      return application("disallowed", name);
    }

    private Builder application(String how, String name)
        throws PackageManager.NameNotFoundException {
      if (name.startsWith("missing")) {
        throw new PackageManager.NameNotFoundException(name);
      }
      return note(how + " " + name);
    }

    public ParcelFileDescriptor establish() {
      if (!Device.now.prepared) {
        return null;
      }
      Device.now.established.add(this);
      return new ParcelFileDescriptor();
    }
  }

  public void onRevoke() {}

  public boolean protect(int socket) {
    return Device.now.protect.test(socket);
  }

  public boolean setUnderlyingNetworks(Network[] networks) {
    Device.now.underlying = networks;
    return true;
  }

  public final boolean isAlwaysOn() {
    return Device.now.alwaysOn;
  }

  public final boolean isLockdownEnabled() {
    return Device.now.lockdown;
  }
}
