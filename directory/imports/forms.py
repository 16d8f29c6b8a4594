"""Forms of the import pages. They parse input; the services check the rules."""

from typing import Any, ClassVar, Final

from django import forms
from django.utils.translation import gettext_lazy as _

from directory.contacts.upsert import Policy
from directory.fields import IN_FILES
from directory.imports import columns, files
from directory.imports.models import Import, ImportStatus
from project.http.lists import NEWEST, ListForm

_POLICIES: Final = [
    (
        Policy.UPDATE.value,
        _("Update: values from the file replace existing ones, tags are added, empty cells change nothing"),
    ),
    (Policy.TAG.value, _("Add tags only")),
    (Policy.SKIP.value, _("Leave unchanged")),
]


class UploadForm(forms.Form):
    """A file that is dropped or chosen."""

    file = forms.FileField(
        label=_("File"),
        allow_empty_file=True,  # the service has the better message
        widget=forms.FileInput(attrs={"accept": ".csv,.txt,.tsv,.xlsx,.vcf"}),
        error_messages={"required": _("Choose a file.")},
    )


class ImportListForm(ListForm):
    """Search and filter of the list of imports."""

    searched = _("File")
    orders: ClassVar = {"newest": (_("Newest first"), NEWEST)}
    status = forms.ChoiceField(
        label=_("Status"), required=False, choices=[("", _("Any status")), *ImportStatus.choices]
    )


class FileFormatForm(forms.Form):
    """How to read the file."""

    encoding = forms.ChoiceField(label=_("Encoding"), choices=list(files.ENCODINGS.items()))
    delimiter = forms.ChoiceField(label=_("Column separator"), choices=list(files.DELIMITERS.items()))
    has_header = forms.BooleanField(label=_("The first row contains column names"), required=False)

    def __init__(self, data: Any, row: Import) -> None:
        current = {name: getattr(row, name) for name in ("encoding", "delimiter", "has_header")}
        super().__init__(data, initial=current)
        if row.workbook:
            del self.fields["encoding"], self.fields["delimiter"]

    def clean(self) -> dict[str, Any]:
        """Keep values that can't be chosen."""
        return {**self.initial, **self.cleaned_data}


class StartForm(forms.Form):
    """The mapping of columns, and what to do with existing contacts."""

    policy = forms.ChoiceField(
        label=_("If a contact already exists"), choices=_POLICIES, widget=forms.RadioSelect, initial=Policy.UPDATE
    )
    tags = forms.CharField(
        label=_("Tags for all contacts"),
        required=False,
        help_text=_("Separate tags with commas."),
        widget=forms.TextInput(attrs={"list": "tag-names", "autocomplete": "off", "placeholder": _("vip, new")}),
    )

    def __init__(self, data: Any, row: Import) -> None:
        super().__init__(data, initial={f"column_{n}": field for n, field in enumerate(row.mapping)})
        for number, name in enumerate(row.header):
            attribute = columns.attribute_of(name)
            choices: list[tuple[str, Any]] = [("", _("Skip")), *IN_FILES.items()]
            if attribute:
                choices.append((attribute, _("Attribute “%(name)s”") % {"name": attribute[len(columns.ATTRIBUTE) :]}))
            self.fields[f"column_{number}"] = forms.ChoiceField(label=name, choices=choices, required=False)

    def columns(self) -> list[forms.BoundField]:
        """Return the fields of the columns, in order."""
        return [self[name] for name in self.fields if name.startswith("column_")]

    def values(self) -> dict[str, Any]:
        """Return the arguments of `import_start`."""
        return {
            "mapping": [self.cleaned_data[field.name] for field in self.columns()],
            "policy": Policy(self.cleaned_data["policy"]),
            "tags": [tag for tag in self.cleaned_data["tags"].split(",") if tag.strip()],
        }
