"""What the admin calls itself."""

from django.contrib import admin

admin.site.site_header = "Signet"
admin.site.site_title = "Signet"
admin.site.index_title = "Administration"
