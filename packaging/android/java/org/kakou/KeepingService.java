package org.kakou;

import android.content.Intent;
import android.os.Bundle;
import android.util.Log;
import org.kivy.android.PythonService;

/**
 * A sticky foreground service that survives being started again by the system.
 *
 * <p>From Android 12 on, startForeground of an app in the background throws (an IllegalStateException,
 * ForegroundServiceStartNotAllowedException). A sticky service that the system starts again is in the background: with
 * python-for-android's PythonService it ends in a loop of crashes, unless the app is exempt from battery
 * optimisation. Here it goes on without the notification, and is made a foreground service when the screens start
 * it again, which PythonService leaves out for a service that runs already.
 */
public class KeepingService extends PythonService {
    private boolean isForeground = false;

    @Override
    public int onStartCommand(Intent intent, int flags, int startId) {
        int type = super.onStartCommand(intent, flags, startId);
        if (!isForeground && intent != null && intent.getExtras() != null) {
            doStartForeground(intent.getExtras());
        }
        return type;
    }

    @Override
    protected void doStartForeground(Bundle extras) {
        try {
            super.doStartForeground(extras);
            isForeground = true;
        } catch (IllegalStateException refused) {
            Log.w("kakou", "not a foreground service yet: " + refused.getMessage());
        }
    }
}
