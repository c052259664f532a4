"""x"""

import edge.handheld.screens.window
import edge.handheld.android.camera
