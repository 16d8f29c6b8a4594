"""Forms of the import pages. They only read what people choose; the rules are those of the services."""

from typing import Any, ClassVar, Final

from django import forms
from django.utils.translation import gettext_lazy as _

from directory.imports import columns, files
from directory.imports.models import Import, ImportStatus
from directory.upsert import Policy
from project.lists import NEWEST, ListForm

_POLICIES: Final = [
    (
        Policy.UPDATE.value,
        _("Update it: the file replaces what it has, tags are added, empty cells change nothing"),
    ),
    (Policy.TAG.value, _("Add tags only")),
    (Policy.SKIP.value, _("Leave it as it is")),
]


class UploadForm(forms.Form):
    """A file that is dropped or chosen."""

    file = forms.FileField(
        label=_("File"),
        allow_empty_file=True,  # the service says it better
        widget=forms.FileInput(attrs={"accept": ".csv,.txt,.tsv,.xlsx"}),
        error_messages={"required": _("Choose a file.")},
    )


class ImportListForm(ListForm):
    """Which imports the list shows."""

    searched = _("File")
    orders: ClassVar = {"newest": (_("Newest first"), NEWEST)}
    status = forms.ChoiceField(label=_("State"), required=False, choices=[("", _("Any state")), *ImportStatus.choices])


class LookForm(forms.Form):
    """How a file is to be read."""

    encoding = forms.ChoiceField(label=_("Encoding"), choices=list(files.ENCODINGS.items()))
    delimiter = forms.ChoiceField(label=_("Column separator"), choices=list(files.DELIMITERS.items()))
    headed = forms.BooleanField(label=_("The first row holds column names"), required=False)

    def __init__(self, data: Any, row: Import) -> None:
        chosen = {name: getattr(row, name) for name in ("encoding", "delimiter", "headed")}
        super().__init__(data, initial=chosen)
        if row.workbook:
            del self.fields["encoding"], self.fields["delimiter"]

    def clean(self) -> dict[str, Any]:
        """What can't be chosen stays."""
        return {**self.initial, **self.cleaned_data}


class StartForm(forms.Form):
    """What each column tells, and what becomes of contacts that are there."""

    policy = forms.ChoiceField(
        label=_("If a contact is there already"), choices=_POLICIES, widget=forms.RadioSelect, initial=Policy.UPDATE
    )
    tags = forms.CharField(
        label=_("Tags for all of them"),
        required=False,
        help_text=_("Separated by commas."),
        widget=forms.TextInput(attrs={"list": "tag-names", "autocomplete": "off", "placeholder": _("vip, new")}),
    )

    def __init__(self, data: Any, row: Import) -> None:
        super().__init__(data, initial={f"column_{n}": field for n, field in enumerate(row.mapping)})
        for number, name in enumerate(row.header):
            attribute = columns.attribute_of(name)
            choices: list[tuple[str, Any]] = [("", _("Leave out")), *columns.FIELDS.items()]
            if attribute:
                choices.append((attribute, _("Attribute “%(name)s”") % {"name": attribute[len(columns.ATTRIBUTE) :]}))
            self.fields[f"column_{number}"] = forms.ChoiceField(label=name, choices=choices, required=False)

    def columns(self) -> list[forms.BoundField]:
        """The fields of the columns, in their order."""
        return [self[name] for name in self.fields if name.startswith("column_")]

    def values(self) -> dict[str, Any]:
        """For `import_start`."""
        return {
            "mapping": [self.cleaned_data[field.name] for field in self.columns()],
            "policy": Policy(self.cleaned_data["policy"]),
            "tags": [tag for tag in self.cleaned_data["tags"].split(",") if tag.strip()],
        }
