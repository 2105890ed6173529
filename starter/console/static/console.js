"use strict";
// The worker's times are shown in the browser's zone.
(function () {
  var zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  var known = document.cookie.split("; ").indexOf("zone=" + encodeURIComponent(zone)) >= 0;
  if (zone && !known) {
    document.cookie = "zone=" + encodeURIComponent(zone) + "; path=/; max-age=31536000; samesite=lax";
    if (document.cookie.indexOf("zone=") >= 0) location.reload();
  }
})();
