"""x"""

import sync.link.client
